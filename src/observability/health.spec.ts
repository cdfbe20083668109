import { HEALTH_CHECK_TIMEOUT_MS, HealthChecks } from './health';

describe('HealthChecks', () => {
  it('is ready while every check is up, and names each', async () => {
    const health = new HealthChecks();
    health.register('log', () => ({ status: 'up' }));
    health.register('postgres', () => Promise.resolve({ status: 'up', detail: 'primary' }));
    expect(await health.readiness()).toEqual({
      status: 'ready',
      checks: { log: { status: 'up' }, postgres: { status: 'up', detail: 'primary' } },
    });
  });

  it.each([
    ['says so', () => ({ status: 'down' as const })],
    ['rejects', () => Promise.reject(new Error('password=hunter2'))],
    [
      'throws',
      () => {
        throw new Error('password=hunter2');
      },
    ],
  ])('is not ready when a check %s, and gives nothing away', async (_how, check) => {
    const health = new HealthChecks();
    health.register('log', () => ({ status: 'up' }));
    health.register('postgres', check);
    const readiness = await health.readiness();
    expect(readiness.status).toBe('not_ready');
    expect(readiness.checks).toMatchObject({ log: { status: 'up' }, postgres: { status: 'down' } });
    expect(JSON.stringify(readiness)).not.toContain('hunter2');
  });

  it('stays ready while only a store is down that fails apart, and tells it', async () => {
    const health = new HealthChecks();
    health.register('feed', () => ({ status: 'up' }));
    health.register('postgres', () => ({ status: 'down' }), false);
    expect(await health.readiness()).toEqual({
      status: 'ready',
      checks: { feed: { status: 'up' }, postgres: { status: 'down' } },
    });
  });

  it('counts a check that never answers as down after its time', async () => {
    jest.useFakeTimers();
    try {
      const health = new HealthChecks();
      health.register('log', () => new Promise(() => undefined));
      const readiness = health.readiness();
      await jest.advanceTimersByTimeAsync(HEALTH_CHECK_TIMEOUT_MS);
      expect((await readiness).checks).toEqual({ log: { status: 'down', detail: 'no answer in time' } });
    } finally {
      jest.useRealTimers();
    }
  });

  it('is not ready once it drains, though all is up', async () => {
    const health = new HealthChecks();
    health.register('log', () => ({ status: 'up' }));
    health.drain();
    expect(await health.readiness()).toMatchObject({ status: 'draining' });
  });

  it('refuses a second check of the same name until the first is taken out', () => {
    const health = new HealthChecks();
    const remove = health.register('log', () => ({ status: 'up' }));
    expect(() => health.register('log', () => ({ status: 'up' }))).toThrow('log');
    remove();
    expect(() => health.register('log', () => ({ status: 'up' }))).not.toThrow();
  });
});

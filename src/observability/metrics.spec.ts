import { Metrics } from './metrics';

describe('Metrics', () => {
  it('exposes every metric under the prefix, with a help text', async () => {
    const metrics = new Metrics();
    const definitions = await metrics.registry.getMetricsAsJSON();
    expect(definitions.length).toBeGreaterThan(15);
    for (const { name, help } of definitions) {
      expect(name).toMatch(/^parley_[a-z_]+$/);
      expect(help.length).toBeGreaterThan(10);
    }
  });

  it('is one registry an instance, so that two nodes in one process do not mix', async () => {
    const one = new Metrics();
    const other = new Metrics();
    one.slowConsumers.inc({ outcome: 'resync' });
    expect((await one.expose()).text).toContain('parley_slow_consumers_total{outcome="resync"} 1');
    expect((await other.expose()).text).not.toContain('outcome="resync"');
  });

  it('asks those who keep a value of their own at every exposition', async () => {
    const metrics = new Metrics();
    let open = 0;
    metrics.beforeExpose(() => {
      metrics.sockets.set({ state: 'authenticated' }, ++open);
    });
    await metrics.expose();
    expect((await metrics.expose()).text).toContain('parley_sockets{state="authenticated"} 2');
  });
});

import { identityOn, REFRESH_TTL_MS, type TestIdentity } from '../../test/support/identity';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import type { Config } from '../config/config';
import { Lease, LeaseLost } from '../infrastructure/postgres/lease';
import { ENDED_KEPT_MS, ExpiredSignIns, SWEEP_BATCHES_MAX, SWEEP_ROWS_MAX } from './expired-sign-ins';

describe('expired sign-ins', () => {
  let store: TestDatabase;
  let identity: TestIdentity;
  let sweeper: ExpiredSignIns;

  beforeEach(async () => {
    store = await createTestDatabase();
    identity = identityOn(store.database);
    sweeper = sweeperOf(['worker']);
  });
  afterEach(async () => {
    await sweeper.stop();
    await store.drop();
  });

  const sweeperOf = (roles: readonly string[]): ExpiredSignIns =>
    new ExpiredSignIns(store.database, identity.clock, { roles: new Set(roles) } as unknown as Config);
  const count = async (table: 'refresh_tokens' | 'sign_ins'): Promise<number> =>
    Number((await store.database.query<{ n: string }>(`SELECT count(*) AS n FROM app.${table}`))[0]?.n);
  /** How often the lease was taken. */
  const holder = async (): Promise<number> =>
    Number((await store.database.query<{ token: string }>('SELECT token FROM read.leases'))[0]?.token ?? 0);
  /** Tokens of one sign-in that expire when the clock says `at`. */
  const addTokens = (signInId: string, howMany: number, at: number): Promise<unknown> =>
    store.database.query(
      `INSERT INTO app.refresh_tokens (token_hash, sign_in_id, expires_at)
       SELECT sha256(convert_to(gen_random_uuid()::text, 'UTF8')), $1, $3 FROM generate_series(1, $2::int)`,
      [signInId, howMany, new Date(at)],
    );
  const until = async (what: () => Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 30_000; !(await what());) {
      if (Date.now() > end) throw new Error('not within 30 s');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it('go with the last of their tokens; those with one that is good stay', async () => {
    const { id } = await identity.newUser();
    await identity.signIns.open(id);
    identity.clock.at += REFRESH_TTL_MS / 2;
    const kept = await identity.signIns.open(id);
    await addTokens(kept.signInId, 1, identity.clock.at - 1);
    identity.clock.at += REFRESH_TTL_MS / 2 + 1;
    await sweeper.sweep();
    expect([await count('refresh_tokens'), await count('sign_ins')]).toEqual([1, 1]);
    expect(await identity.signIns.refresh(kept.refreshToken)).toBeDefined();
  });

  it('that have ended are kept for a day, with their tokens, and not longer', async () => {
    const { id } = await identity.newUser();
    const { signInId } = await identity.signIns.open(id);
    await addTokens(signInId, 3, identity.clock.at + 10 * ENDED_KEPT_MS);
    await store.database.query('DELETE FROM app.refresh_tokens WHERE expires_at <= $1', [
      new Date(identity.clock.at + REFRESH_TTL_MS),
    ]);
    await identity.signIns.end(id, signInId, 'logout');
    identity.clock.at += ENDED_KEPT_MS;
    await sweeper.sweep();
    expect([await count('refresh_tokens'), await count('sign_ins')]).toEqual([3, 1]);
    identity.clock.at += 1;
    await sweeper.sweep();
    expect([await count('refresh_tokens'), await count('sign_ins')]).toEqual([0, 0]);
  });

  it(`go in batches of ${SWEEP_ROWS_MAX}, ${SWEEP_BATCHES_MAX} at most in one sweep`, async () => {
    const { id } = await identity.newUser();
    const { signInId } = await identity.signIns.open(id);
    await addTokens(signInId, SWEEP_ROWS_MAX * SWEEP_BATCHES_MAX + 1, identity.clock.at - 1);
    await sweeper.sweep();
    expect(await count('refresh_tokens')).toBe(2);
    await sweeper.sweep();
    expect([await count('refresh_tokens'), await count('sign_ins')]).toEqual([1, 1]);
  });

  it('are swept by workers alone, from their start until they stop, whatever fails meanwhile', async () => {
    const { id } = await identity.newUser();
    await identity.signIns.open(id);
    identity.clock.at += REFRESH_TTL_MS + 1;
    const gateway = sweeperOf(['gateway']);
    gateway.onApplicationBootstrap();
    await gateway.onModuleDestroy();
    expect(await count('sign_ins')).toBe(1);
    const sweep = jest.spyOn(sweeper, 'sweep');
    sweeper.onApplicationBootstrap();
    sweeper.start();
    await until(async () => (await count('sign_ins')) === 0);
    await sweeper.onModuleDestroy();
    expect(sweep).toHaveBeenCalledTimes(1);
  });

  it('are swept by one worker at a time, and by the next when that one stops', async () => {
    const { id } = await identity.newUser();
    const second = sweeperOf(['worker']);
    sweeper.start();
    await until(async () => (await holder()) === 1);
    second.start();
    const sweep = jest.spyOn(second, 'sweep');
    await identity.signIns.open(id);
    identity.clock.at += REFRESH_TTL_MS + 1;
    await sweeper.stop();
    await until(async () => (await count('sign_ins')) === 0);
    await second.stop();
    expect(sweep).toHaveBeenCalledTimes(1);
    expect(await holder()).toBe(2);
  });

  it('stay when another worker has taken the lease meanwhile', async () => {
    const { id } = await identity.newUser();
    await identity.signIns.open(id);
    identity.clock.at += REFRESH_TTL_MS + 1;
    const lease = await Lease.acquire(store.database, 'expired-sign-ins', 'a worker that was stopped');
    await store.database.query('UPDATE read.leases SET token = token + 1');
    const fenced = sweeper.sweep(async (client) => lease?.check(client));
    await expect(fenced).rejects.toThrow(LeaseLost);
    expect(await count('sign_ins')).toBe(1);
    await lease?.release();
  });

  it.each([
    ['the tokens of one that has ended', 1, [1, 1]],
    ['one that has ended, when its tokens are gone already', 2, [0, 1]],
  ] as const)('keep %s when another worker takes the lease before that', async (_what, passes, left) => {
    const { id } = await identity.newUser();
    const { signInId } = await identity.signIns.open(id);
    await identity.signIns.end(id, signInId, 'logout');
    identity.clock.at += ENDED_KEPT_MS + 1;
    await store.database.query('UPDATE app.refresh_tokens SET expires_at = $1', [
      new Date(identity.clock.at + REFRESH_TTL_MS),
    ]);
    let asked = 0;
    const fence = (): Promise<void> =>
      asked++ < passes ? Promise.resolve() : Promise.reject(new LeaseLost('taken over'));
    await expect(sweeper.sweep(fence)).rejects.toThrow(LeaseLost);
    expect([await count('refresh_tokens'), await count('sign_ins')]).toEqual(left);
  });

  it('stay when the sweeper has been stopped in the middle of its work', async () => {
    const { id } = await identity.newUser();
    const { signInId } = await identity.signIns.open(id);
    await addTokens(signInId, 3 * SWEEP_ROWS_MAX, identity.clock.at - 1);
    const sweep = jest.spyOn(sweeper, 'sweep');
    sweeper.start();
    await until(() => Promise.resolve(sweep.mock.calls.length > 0));
    await sweeper.stop();
    expect(await count('refresh_tokens')).toBeGreaterThan(1 + SWEEP_ROWS_MAX);
  });
});

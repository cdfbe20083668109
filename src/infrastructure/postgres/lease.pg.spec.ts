import { setTimeout as sleep } from 'node:timers/promises';
import { createTestDatabase, type TestDatabase } from '../../../test/support/postgres';
import { readCheckpoints, writeCheckpoints } from '../../../projections/runner/checkpoints';
import { Lease, LeaseLost } from './lease';

const GROUP = 'group';
const at = (n: number) => ({ commit: BigInt(n), prepare: BigInt(n) });

describe('Lease', () => {
  let db: TestDatabase;
  const held: Lease[] = [];

  beforeEach(async () => {
    db = await createTestDatabase();
  });
  afterEach(async () => {
    await Promise.all(held.splice(0).map((lease) => lease.release()));
    await db.drop();
  });

  const acquire = async (owner: string): Promise<Lease | undefined> => {
    const lease = await Lease.acquire(db.database, GROUP, owner);
    if (lease !== undefined) held.push(lease);
    return lease;
  };
  const acquired = async (owner: string): Promise<Lease> => {
    const lease = await acquire(owner);
    if (lease === undefined) throw new Error(`${owner} did not get the lease`);
    return lease;
  };
  const expire = () => db.database.query(`UPDATE read.leases SET expires_at = now() - interval '1 second'`);
  const write = (lease: Lease, position: number, between: () => Promise<void> = () => Promise.resolve()) =>
    db.database.transaction(async (client) => {
      await lease.fence(client, 'read');
      await between();
      await writeCheckpoints(client, new Map([['p', at(position)]]), {
        group: GROUP,
        position: at(position),
      });
    });
  const checkpoint = async () => (await readCheckpoints(db.database, ['p'])).get('p')?.commit;

  it('is held by one', async () => {
    await acquired('one');
    expect(await acquire('two')).toBeUndefined();
  });

  it('can be taken at once when it was given back, and when its holder lost its session', async () => {
    await (await acquired('one')).release();
    await acquired('two');
    await db.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`,
    );
    await sleep(50);
    await acquired('three');
  });

  it('says that it is lost when its session breaks', async () => {
    const lease = await acquired('one');
    await db.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`,
    );
    await sleep(50);
    expect(lease.lost.aborted).toBe(true);
  });

  it('can be taken after its time from a holder that hangs, who can then write nothing', async () => {
    const one = await acquired('one');
    await write(one, 1);
    await expire();
    const two = await acquired('two');
    await write(two, 2);
    await expect(write(one, 3)).rejects.toBeInstanceOf(LeaseLost);
    expect(await checkpoint()).toBe(2n);
    await one.renew();
    expect(one.lost.aborted).toBe(true);
    expect(two.lost.aborted).toBe(false);
  });

  it('stays with the one who took over when the one who hung wakes up and ends', async () => {
    const one = await acquired('one');
    await expire();
    const two = await acquired('two');
    await one.release();
    // The lock of the first is free now, and the second has not asked for it yet.
    expect(await acquire('three')).toBeUndefined();
    // A standby that asks has the lock for a moment, too: the next renewal finds it free.
    const isLocked = async (): Promise<boolean> => {
      const rows = await db.database.query<{ locked: boolean }>('SELECT locked FROM read.leases');
      return rows[0]?.locked === true;
    };
    for (let n = 0; n < 100 && !(await isLocked()); n++) {
      await sleep(20);
      await two.renew();
    }
    await db.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`,
    );
    await sleep(50);
    await acquired('three');
  });

  it('stays with the holder who renews', async () => {
    const one = await acquired('one');
    await expire();
    await one.renew();
    expect(await acquire('two')).toBeUndefined();
  });

  it('cannot be taken between the check and the commit', async () => {
    const one = await acquired('one');
    await expire();
    let taking: Promise<Lease> | undefined;
    await write(one, 1, async () => {
      taking = acquired('two');
      expect(await Promise.race([taking.then(() => 'taken'), sleep(200, 'waiting')])).toBe('waiting');
    });
    await taking;
    await expect(write(one, 2)).rejects.toBeInstanceOf(LeaseLost);
    expect(await checkpoint()).toBe(1n);
  });

  it('is freed of a holder that was stopped within a transaction, whose rows are rolled back', async () => {
    const one = await acquired('one');
    await expire();
    // Stopped for longer than the server bears with it; woken, it tries to go on.
    const stopped = write(one, 1, () => sleep(6_500));
    const two = sleep(500).then(() => acquired('two'));
    await expect(stopped).rejects.toThrow();
    await write(await two, 2);
    expect(await checkpoint()).toBe(2n);
  });

  it('moves checkpoints forward only', async () => {
    const one = await acquired('one');
    await write(one, 5);
    await write(one, 4);
    expect(await checkpoint()).toBe(5n);
  });
});

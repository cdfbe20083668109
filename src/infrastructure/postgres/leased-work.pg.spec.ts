import { once } from 'node:events';
import { createTestDatabase, type TestDatabase } from '../../../test/support/postgres';
import { LeaseLost } from './lease';
import { LeasedWork, type Fence } from './leased-work';

describe('leased work', () => {
  let db: TestDatabase;

  beforeEach(async () => {
    db = await createTestDatabase();
  });
  afterEach(() => db.drop());

  it('is fenced: who was taken over while it worked writes nothing, and stands by again', async () => {
    const outcomes: unknown[] = [];
    const warnings: string[] = [];
    let begun = 0;
    let taken: () => void = () => undefined;
    const whenTaken = new Promise<void>((resolve) => (taken = resolve));
    let again: () => void = () => undefined;
    const whenAgain = new Promise<void>((resolve) => (again = resolve));
    const work = async (fence: Fence, signal: AbortSignal): Promise<void> => {
      if (++begun === 1) {
        await db.database.transaction(fence).then(() => outcomes.push('written'));
        taken();
        await whenTakenOver;
        await db.database.transaction(fence).catch((error: unknown) => {
          outcomes.push(error);
          throw error;
        });
        return;
      }
      again();
      if (!signal.aborted) await once(signal, 'abort');
    };
    const leased = new LeasedWork({
      ...{ database: db.database, name: 'sweep', owner: 'one', work },
      warn: (message) => {
        warnings.push(message);
      },
    });
    const whenTakenOver = whenTaken.then(() =>
      db.database.query(`UPDATE read.leases SET token = token + 1, owner = 'another' WHERE name = 'sweep'`),
    );
    leased.start();
    leased.start();
    await whenAgain;
    await leased.stop();
    expect(outcomes).toEqual(['written', expect.any(LeaseLost)]);
    expect([begun, warnings]).toEqual([2, []]);
  });
});

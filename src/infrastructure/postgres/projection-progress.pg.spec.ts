import { setTimeout as sleep } from 'node:timers/promises';
import { userNamed } from '../../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../../test/support/postgres';
import { project } from '../../../test/support/projected';
import { WrittenConversation } from '../../../test/support/written-conversation';
import { readCheckpoints, writeCheckpoints } from '../../../projections/runner/checkpoints';
import { asConversationId, asSeq } from '../../kernel/ids';
import { fromPlaces, type Position } from '../../kernel/position';
import { uuidv7 } from '../../kernel/uuid';
import { PostgresProjectionProgress, WAITERS_MAX } from './projection-progress';

const at = (n: number): Position => ({ commit: BigInt(n), prepare: BigInt(n) });

describe('PostgresProjectionProgress', () => {
  let db: TestDatabase;
  let progress: PostgresProjectionProgress;

  beforeEach(async () => {
    db = await createTestDatabase();
    progress = new PostgresProjectionProgress(db.database, { group: 'live', projections: ['a', 'b'] });
  });
  afterEach(async () => {
    progress.stop();
    await db.drop();
  });

  const commit = (position: Position, names = ['a', 'b'], group = 'live'): Promise<unknown> =>
    writeCheckpoints(db.database, new Map(names.map((name) => [name, position])), { group, position });
  const listening = async (): Promise<void> => {
    progress.start();
    await commit(at(1));
    expect(await progress.waitForPosition(at(1), 30_000)).toBe(true);
  };

  it('is told by the projector of another node', async () => {
    await listening();
    // Sooner than the next poll could have found it; a busy machine may delay some of them.
    const took: number[] = [];
    for (let n = 7; n < 27; n++) {
      const waiting = progress.waitForPosition(at(n), 30_000);
      const began = performance.now();
      await commit(at(n));
      expect(await waiting).toBe(true);
      took.push(performance.now() - began);
    }
    expect(Math.min(...took)).toBeLessThan(90);
  });

  it('says that it was in vain when the time is over, and answers at once what it knows', async () => {
    await listening();
    expect(await progress.waitForPosition(at(2), 30)).toBe(false);
    expect(await progress.waitForPosition(at(0), 0)).toBe(true);
  });

  it('knows at once what the projector of this process says', async () => {
    const waiting = progress.waitForPosition(at(5), 30_000);
    progress.notifyLocal(at(5));
    expect(await waiting).toBe(true);
    progress.notifyLocal(at(3));
    expect(await progress.waitForPosition(at(5), 0)).toBe(true);
  });

  it('waits again for what it believed, and a look at the tables has not found', async () => {
    await commit(at(3));
    progress.notifyLocal(at(7));
    expect(await progress.waitForPosition(at(7), 0)).toBe(true);
    progress.disbelieve(at(3));
    expect(await progress.waitForPosition(at(3), 0)).toBe(true);
    expect(await progress.waitForPosition(at(7), 30)).toBe(false);
    await commit(at(7));
    expect(await progress.waitForPosition(at(7), 30_000)).toBe(true);
  });

  it('finds out by itself when nobody tells', async () => {
    await commit(at(9));
    expect(await progress.waitForPosition(at(9), 30_000)).toBe(true);
  });

  it('believes the slowest projection, and no other group', async () => {
    await commit(at(9), ['a']);
    expect(await progress.waitForPosition(at(5), 250)).toBe(false);
    await commit(at(5), ['b']);
    expect(await progress.waitForPosition(at(5), 30_000)).toBe(true);
    await listening();
    await commit(at(99), ['other'], 'rebuild');
    expect(await progress.waitForPosition(at(99), 250)).toBe(false);
  });

  it('waits for a seq of a conversation', async () => {
    progress.start();
    const conversation = new WrittenConversation([userNamed('ann')]);
    const seq = conversation.send(userNamed('ann'));
    expect(await progress.waitForSeq(conversation.id, seq, 30)).toBe(false);
    const waiting = progress.waitForSeq(conversation.id, seq, 30_000);
    const more = progress.waitForSeq(conversation.id, asSeq(seq + 1), 400);
    await project(db.database, conversation.events);
    progress.notifyLocal(at(1));
    expect(await waiting).toBe(true);
    expect(await progress.waitForSeq(conversation.id, asSeq(0), 30_000)).toBe(true);
    expect(await more).toBe(false);
    expect(await progress.waitForSeq(asConversationId(uuidv7()), asSeq(0), 30)).toBe(false);
  });

  it('listens again after its connection broke, and forgets what a restored server no longer has', async () => {
    await listening();
    await commit(at(50));
    expect(await progress.waitForPosition(at(50), 30_000)).toBe(true);
    await db.database.query('UPDATE read.checkpoints SET position = $1', ['20/20']);
    await db.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE 'LISTEN%' OR query LIKE '%FROM read.checkpoints%'
         AND pid <> pg_backend_pid()`,
    );
    await sleep(600);
    expect(await progress.waitForPosition(at(50), 30)).toBe(false);
    expect(await progress.waitForPosition(at(20), 30)).toBe(true);
  });

  it(`lets ${WAITERS_MAX} wait, and sends the next one away at once`, async () => {
    const waits = Array.from({ length: WAITERS_MAX }, () => progress.waitForPosition(at(9), 60_000));
    const began = performance.now();
    expect(await progress.waitForPosition(at(9), 60_000)).toBe(false);
    expect(performance.now() - began).toBeLessThan(30_000);
    progress.notifyLocal(at(9));
    expect(new Set(await Promise.all(waits))).toEqual(new Set([true]));
  });

  it('sends all away when it stops', async () => {
    const waiting = progress.waitForPosition(at(9), 60_000);
    progress.stop();
    expect(await waiting).toBe(false);
    expect(await progress.waitForPosition(at(9), 60_000)).toBe(false);
  });

  describe('of a log in shards', () => {
    const inShards = (...commits: number[]): Position => fromPlaces(commits.map((commit) => at(commit)));

    it('is passed when it is in every shard, whichever is told first', async () => {
      await listening();
      const waiting = progress.waitForPosition(inShards(5, 5), 30_000);
      progress.notifyLocal(inShards(9, 2));
      expect(await progress.waitForPosition(inShards(5, 5), 30)).toBe(false);
      await commit(inShards(3, 7));
      // Again and again: a look at the table, which knows nothing of it, may come in between.
      const telling = setInterval(() => {
        progress.notifyLocal(inShards(9, 2));
      }, 10);
      const passed = await waiting;
      clearInterval(telling);
      expect(passed).toBe(true);
    });

    it('counts the slowest projection of each shard', async () => {
      await commit(inShards(9, 2), ['a']);
      await commit(inShards(3, 7), ['b']);
      expect(await progress.current()).toEqual(inShards(3, 2));
    });

    it('moves a checkpoint whenever it is further in one of them', async () => {
      for (const [position, kept] of [
        [inShards(5, 1), inShards(5, 1)],
        [inShards(5, 2), inShards(5, 2)],
        [inShards(6, 2), inShards(6, 2)],
        [inShards(5, 2), inShards(6, 2)],
      ] as const) {
        await commit(position);
        expect((await readCheckpoints(db.database, ['a'])).get('a')).toEqual(kept);
      }
    });
  });
});

import { setTimeout as sleep } from 'node:timers/promises';
import { SystemClock } from '../../src/kernel/clock';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { Database, type Queryable } from '../../src/infrastructure/postgres/database';
import { userNamed } from '../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { WrittenConversation } from '../../test/support/written-conversation';
import { history } from '../history/history.projection';
import { inbox } from '../inbox/inbox.projection';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../live';
import type { Projection } from '../projection';
import { Projector } from '../runner/projector';
import { verifyReadModels } from '../verify';
import { rebuild, type RebuildOptions, type RebuiltModel } from './rebuild';

const [ann, bob] = [userNamed('ann'), userNamed('bob')];
/** Whoever takes the live projector's row through it keeps it until told. */
class HoldingDatabase extends Database {
  letGo: () => void = () => undefined;
  private readonly letGone = new Promise<void>((resolve) => (this.letGo = resolve));
  private hold: () => void = () => undefined;
  readonly held = new Promise<void>((resolve) => (this.hold = resolve));

  constructor(url: string) {
    super(url, { connectionsMax: 8, name: 'holding' });
  }

  override transaction<T>(work: (client: Queryable) => Promise<T>): Promise<T> {
    return super.transaction((client) =>
      work({
        query: async (...asked) => {
          const rows = await client.query(...asked);
          if (asked[0].endsWith('FOR UPDATE')) {
            this.hold();
            await this.letGone;
          }
          return rows as never;
        },
      }),
    );
  }
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('rebuild', () => {
  let db: TestDatabase;
  let eventLog: MemoryEventLog;
  let projector: Projector;
  let writing = true;

  beforeEach(async () => {
    db = await createTestDatabase();
    eventLog = new MemoryEventLog();
    writing = true;
    projector = new Projector({
      ...stores(),
      projections: LIVE_PROJECTIONS,
      group: LIVE_GROUP,
      owner: 'live',
    });
    projector.start();
  });
  afterEach(async () => {
    await projector.stop();
    await db.drop();
  });

  const stores = (): Omit<RebuildOptions, 'projections' | 'onProgress' | 'replaceDifferent'> => ({
    eventLog,
    database: db.database,
    clock: new SystemClock(),
    log: silent,
    owner: 'rebuild',
  });
  const rebuilt = async (
    projection: Projection,
    more: Partial<RebuildOptions> = {},
  ): Promise<RebuiltModel & { readonly events: number }> => {
    const { events, models } = await rebuild({ ...stores(), projections: [projection], ...more });
    return { events, ...(models[0] as RebuiltModel) };
  };
  const written = async (sends: number): Promise<WrittenConversation> => {
    const conversation = new WrittenConversation([ann, bob]);
    for (let n = 0; n < sends; n++) conversation.send(n % 3 === 0 ? ann : bob);
    await conversation.store(eventLog);
    return conversation;
  };
  const writeOn = async (conversation: WrittenConversation): Promise<void> => {
    while (writing) {
      conversation.send(ann);
      await conversation.store(eventLog);
      await sleep(2);
    }
  };
  /** Readers never find a table missing or empty. */
  const readOn = async (table: string, atLeast: number): Promise<number> => {
    let reads = 0;
    while (writing) {
      const [row] = await db.database.query<{ n: string }>(`SELECT count(*) AS n FROM read.${table}`);
      expect(Number(row?.n)).toBeGreaterThanOrEqual(atLeast);
      reads++;
    }
    return reads;
  };
  const expectEqualToLog = async (): Promise<void> => {
    for (let end = Date.now() + 30_000; ;) {
      const { differences } = await verifyReadModels({ eventLog, database: db.database });
      if (differences.length === 0 || Date.now() > end) {
        expect(differences).toEqual([]);
        return;
      }
      await sleep(50);
    }
  };
  const oidOf = async (table: string): Promise<unknown> =>
    (await db.database.query<{ oid: unknown }>('SELECT $1::regclass::oid AS oid', [`read.${table}`]))[0]?.oid;

  it.each([inbox, history])(
    'replaces $name while people write and read, and nobody notices',
    async (model) => {
      const conversation = await written(300);
      const table = model.tables[0] as string;
      const rows = table === 'history_messages' ? 300 : 1;
      while ((await count(table)) < rows) await sleep(20);
      const before = await oidOf(table);
      const traffic = [writeOn(conversation), readOn(table, rows)];
      const outcome = await rebuilt(model);
      writing = false;
      await Promise.all(traffic);
      expect(outcome.swapped).toBe(true);
      expect(outcome.events).toBeGreaterThan(300);
      expect(outcome.tables.map(({ equal, liveRows }) => [equal, liveRows > 0])).toContainEqual([true, true]);
      expect(outcome.tables.every(({ equal }) => equal)).toBe(true);
      expect(await oidOf(table)).not.toBe(before);
      // What came after the swap went into the new tables.
      conversation.send(bob);
      await conversation.store(eventLog);
      await expectEqualToLog();
      expect(await leftovers()).toEqual([]);
    },
  );

  const count = async (table: string): Promise<number> =>
    Number((await db.database.query<{ n: string }>(`SELECT count(*) AS n FROM read.${table}`))[0]?.n);
  const leftovers = async (): Promise<readonly unknown[]> => [
    ...(await db.database.query(`SELECT nspname FROM pg_namespace WHERE nspname = 'read_next'`)),
    ...(await db.database.query(`SELECT projection FROM read.checkpoints WHERE projection LIKE '%rebuild'`)),
  ];

  it('leaves a live model that differs in place and says which table, unless told to repair it', async () => {
    await written(50);
    while ((await count('history_messages')) < 50) await sleep(20);
    await db.database.query(`UPDATE read.history_messages SET content = '{"type":"text","body":"forged"}'
                             WHERE ordinal = 7`);
    const before = await oidOf('history_messages');
    const told = await rebuilt(history);
    expect(told.swapped).toBe(false);
    expect(told.tables.filter(({ equal }) => !equal)).toEqual([
      { table: 'history_messages', liveRows: 50, rebuiltRows: 50, equal: false },
    ]);
    expect(await oidOf('history_messages')).toBe(before);
    expect(await leftovers()).toEqual([]);

    expect((await rebuilt(history, { replaceDifferent: true })).swapped).toBe(true);
    await expectEqualToLog();
  });

  it('gives the live projector free after the time it says, whatever it waits for meanwhile', async () => {
    const conversation = await written(20);
    while ((await count('history_messages')) < 20) await sleep(20);
    const waiting = new HoldingDatabase(db.url);
    try {
      const outcome = rebuilt(history, { database: waiting, holdMsMax: 300 }).catch(
        (error: unknown) => error,
      );
      await waiting.held;
      conversation.send(ann);
      await conversation.store(eventLog);
      // The rebuild would hold it for ever: it is let go only after this.
      while ((await count('history_messages')) < 21) await sleep(20);
      waiting.letGo();
      expect(await outcome).toBeInstanceOf(Error);
      await expectEqualToLog();
    } finally {
      await waiting.close();
    }
  });

  it('begins again after one that was killed, and refuses a second one beside it', async () => {
    await written(20);
    await db.database.query('CREATE SCHEMA read_next');
    await db.database.query('CREATE TABLE read_next.inbox_conversations (half integer)');
    await db.database.query(
      `INSERT INTO read.checkpoints (projection, position, commit_position, prepare_position)
       VALUES ('inbox/v1+rebuild', '9/9', 9, 9)`,
    );
    const outcomes = await Promise.allSettled([rebuilt(inbox), rebuilt(inbox)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: expect.objectContaining({ name: 'RebuildFailed' }) as unknown,
    });
    await expectEqualToLog();
  });
});

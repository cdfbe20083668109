import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import type { LogEvent } from '../../src/application/ports/event-log';
import { asEventId } from '../../src/kernel/ids';
import { SystemClock } from '../../src/kernel/clock';
import { hasPassed } from '../../src/kernel/position';
import { uuidv7 } from '../../src/kernel/uuid';
import { userNamed } from '../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { WrittenConversation } from '../../test/support/written-conversation';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../live';
import { ignore, RowStatement, type Projection } from '../projection';
import { verifyReadModels } from '../verify';
import { readCheckpoints } from './checkpoints';
import { LEASE_MS } from '../../src/infrastructure/postgres/lease';
import { BATCH_EVENTS_MAX, Projector, type ProjectorOptions, type ProjectorProgress } from './projector';

const [ann, bob] = ['ann', 'bob'].map(userNamed) as [
  ReturnType<typeof userNamed>,
  ReturnType<typeof userNamed>,
];

/** Fails on command: in its handler, or in its SQL after the other projections' statements of the batch. */
class Saboteur {
  handlerFails = (_body: unknown): boolean => false;
  sqlFails = false;

  private readonly divide = new RowStatement(
    'saboteur.divide',
    { by: 'integer' },
    (rows) => `SELECT 1 / r.by FROM ${rows}`,
  );

  readonly projection: Projection = {
    name: 'saboteur/v1',
    tables: [],
    statements: [this.divide],
    on: {
      ConversationStarted: ignore,
      ConversationChanged: ignore,
      MembershipChanged: ignore,
      MessageSent: ({ event }) => {
        if (this.handlerFails(event.content['body'])) throw new Error('I do not understand this');
        return [this.divide.row({ by: this.sqlFails ? 0 : 1 })];
      },
      MessageEdited: ignore,
      MessageDeleted: ignore,
      ReactionChanged: ignore,
      MessageDelivered: ignore,
      MessageRead: ignore,
    },
  };
}

describe('Projector', () => {
  let db: TestDatabase;
  let eventLog: MemoryEventLog;
  let projectors: Projector[];
  let messages: string[];
  let poisons: LogEvent[];
  let progress: ProjectorProgress[];

  beforeEach(async () => {
    db = await createTestDatabase();
    eventLog = new MemoryEventLog();
    projectors = [];
    messages = [];
    poisons = [];
    progress = [];
  });
  afterEach(async () => {
    await Promise.all(projectors.map((projector) => projector.stop()));
    await db.drop();
  });

  const start = (owner: string, more: Partial<ProjectorOptions> = {}): Projector => {
    const say = (_fields: object, message: string): void => {
      messages.push(`${owner}: ${message}`);
    };
    const projector = new Projector({
      eventLog,
      database: db.database,
      projections: LIVE_PROJECTIONS,
      group: LIVE_GROUP,
      owner,
      clock: new SystemClock(),
      log: { info: say, warn: say, error: say },
      onPoison: (event) => {
        poisons.push(event);
      },
      onProgress: (now) => {
        progress.push(now);
      },
      ...more,
    });
    projectors.push(projector);
    projector.start();
    return projector;
  };
  const until = async (what: () => Promise<boolean> | boolean, withinMs = 60_000): Promise<void> => {
    const end = Date.now() + withinMs;
    while (!(await what())) {
      if (Date.now() > end) throw new Error(`not within ${withinMs} ms; ${messages.join('; ')}`);
      await sleep(5);
    }
  };
  const caughtUp = async (withinMs?: number): Promise<void> => {
    const head = await eventLog.head();
    await until(async () => {
      const positions = await readCheckpoints(
        db.database,
        LIVE_PROJECTIONS.map(({ name }) => name),
      );
      return [...positions.values()].every((position) => hasPassed(position, head));
    }, withinMs);
  };
  const count = async (table: string): Promise<number> =>
    Number((await db.database.query<{ n: string }>(`SELECT count(*) AS n FROM read.${table}`))[0]?.n);
  const expectEqualToLog = async (): Promise<void> => {
    expect((await verifyReadModels({ eventLog, database: db.database })).differences).toEqual([]);
  };
  const written = async (sends: number): Promise<WrittenConversation> => {
    const conversation = new WrittenConversation([ann, bob]);
    for (let n = 0; n < sends; n++) conversation.send(n % 3 === 0 ? ann : bob);
    await conversation.store(eventLog);
    return conversation;
  };

  it('projects what is stored, then what happens, and says how far it is', async () => {
    const conversation = await written(20);
    start('one');
    await caughtUp();
    expect(await count('history_messages')).toBe(20);
    const before = progress.length;
    conversation.send(ann);
    const began = performance.now();
    await conversation.store(eventLog);
    await until(() => progress.length > before);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(progress.at(-1)).toMatchObject({ events: 1, position: await eventLog.head() });
    await expectEqualToLog();
  });

  it(`puts at most ${BATCH_EVENTS_MAX} events into one transaction`, async () => {
    await written(BATCH_EVENTS_MAX * 2 + 7);
    start('one');
    await caughtUp();
    const sizes = progress.map(({ events }) => events).filter((events) => events > 0);
    expect(Math.max(...sizes)).toBe(BATCH_EVENTS_MAX);
    expect(sizes.reduce((a, b) => a + b)).toBe(BATCH_EVENTS_MAX * 2 + 8);
    await expectEqualToLog();
  });

  it('passes what is none of its own, so that nobody waits for it', async () => {
    start('one');
    await eventLog.append(
      'snapshot-of-something',
      [{ id: asEventId(uuidv7()), type: 'Snapshot', data: {}, metadata: {} }],
      { expected: 'any' },
    );
    await caughtUp();
    expect(await count('inbox_conversations')).toBe(0);
  });

  it('ignores streams under our prefix that no conversation has written', async () => {
    await eventLog.append(
      'conversation-of-somebody',
      [{ id: asEventId(uuidv7()), type: 'MessageSent', data: { by: 'x' }, metadata: {} }],
      { expected: 'any' },
    );
    await written(1);
    start('one');
    await caughtUp();
    expect(poisons).toEqual([]);
    expect(await count('history_messages')).toBe(1);
  });

  it('keeps rows and checkpoint together when a batch fails half-way', async () => {
    const saboteur = new Saboteur();
    saboteur.sqlFails = true;
    await written(3);
    start('one', { projections: [...LIVE_PROJECTIONS, saboteur.projection] });
    await until(() => poisons.length >= 2);
    // Only what was before the first message: its statements were executed, and rolled back.
    expect(await count('history_messages')).toBe(0);
    expect(await count('inbox_messages')).toBe(0);
    expect(poisons[0]?.type).toBe('MessageSent');
    expect(poisons[0]?.revision).toBe(1n);
    saboteur.sqlFails = false;
    await caughtUp();
    await expectEqualToLog();
  });

  it('stands still at an event that a projection cannot handle, loudly, and goes on when it can', async () => {
    const saboteur = new Saboteur();
    saboteur.handlerFails = (body) => body === 'message 7';
    await written(12);
    start('one', { projections: [...LIVE_PROJECTIONS, saboteur.projection] });
    await until(() => poisons.length >= 2);
    expect(poisons.map(({ revision }) => revision)).toEqual(poisons.map(() => 7n));
    expect(await count('history_messages')).toBe(6);
    expect(messages).toContain('one: this event cannot be projected: the group stands still');
    saboteur.handlerFails = () => false;
    await caughtUp();
    expect(await count('history_messages')).toBe(12);
    await expectEqualToLog();
  });

  it('survives its sessions being ended at any moment', async () => {
    start('one');
    const conversation = await written(1);
    for (let round = 0; round < 12; round++) {
      for (let n = 0; n < 40; n++) conversation.send(ann);
      await conversation.store(eventLog);
      await sleep(round);
      // The session that asks may be one that the round before has ended: then another one does.
      const ended = (): Promise<boolean> =>
        db.database
          .query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND ($1 OR query LIKE '%inbox%')`,
            [round % 2 === 0],
          )
          .then(
            () => true,
            () => false,
          );
      while (!(await ended())) await sleep(1);
    }
    await caughtUp();
    await expectEqualToLog();
  });

  it('builds on where a new projection stands, without doing the others again', async () => {
    await written(5);
    const [inbox, ...others] = LIVE_PROJECTIONS as [Projection, ...Projection[]];
    const first = start('one', { projections: [inbox] });
    await until(async () => (await count('inbox_messages')) === 5);
    await first.stop();
    await db.database.query('DELETE FROM read.inbox_mentions');
    start('two', { projections: [inbox, ...others] });
    await caughtUp();
    await expectEqualToLog();
  });

  it('starts anew when its tables were emptied', async () => {
    await written(5);
    const first = start('one');
    await caughtUp();
    await first.stop();
    for (const table of LIVE_PROJECTIONS.flatMap(({ tables }) => tables))
      await db.database.query(`TRUNCATE read.${table}`);
    await db.database.query('TRUNCATE read.checkpoints');
    start('two');
    await caughtUp();
    await expectEqualToLog();
  });

  it('notices that its last commits are gone, and applies them again before it goes on', async () => {
    const conversation = await written(3);
    start('one');
    await caughtUp();
    const tables = ['checkpoints', ...LIVE_PROJECTIONS.flatMap((projection) => projection.tables)];
    await db.database.query('CREATE SCHEMA kept');
    for (const table of tables) {
      await db.database.query(`CREATE TABLE kept.${table} AS TABLE read.${table}`);
    }
    for (let n = 0; n < 5; n++) conversation.send(bob);
    await conversation.store(eventLog);
    await caughtUp();
    // A server that crashed between the commit and its disk, and is back before anybody has asked.
    await db.database.transaction(async (client) => {
      for (const table of tables) {
        await client.query(`DELETE FROM read.${table}`);
        await client.query(`INSERT INTO read.${table} SELECT * FROM kept.${table}`);
      }
    });
    conversation.send(ann);
    await conversation.store(eventLog);
    await until(() => messages.includes('one: going on from where the read models are'));
    await caughtUp();
    expect(await count('history_messages')).toBe(9);
    await expectEqualToLog();
  });

  it('lets one of two write, and the other take over at once when it stops', async () => {
    const first = start('one');
    await until(() => messages.includes('one: projecting'));
    start('two');
    await written(5);
    await caughtUp();
    expect(messages).not.toContain('two: projecting');
    await first.stop();
    await until(() => messages.includes('two: projecting'), LEASE_MS - 1_000);
    await written(5);
    await caughtUp();
    await expectEqualToLog();
  });
});

import { LIVE_GROUP, LIVE_PROJECTIONS } from '../../projections/live';
import { readCheckpoints } from '../../projections/runner/checkpoints';
import { Projector } from '../../projections/runner/projector';
import { verifyReadModels } from '../../projections/verify';
import { startApplication, type TestApplication } from '../../test/support/application';
import { accepted, ANNA, BEN, group, send, storedIn } from '../../test/support/conversation-commands';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { TargetMessages } from '../application/target-messages';
import type { Config } from '../config/config';
import { THE_SERVER } from '../domain/conversation/alter';
import { PostgresHistoryReads } from '../infrastructure/postgres/history-reads';
import { PostgresInboxReads } from '../infrastructure/postgres/inbox-reads';
import { Clock, SystemClock } from '../kernel/clock';
import { asMillis, asSeq, type ConversationId, type Seq } from '../kernel/ids';
import { hasPassed } from '../kernel/position';
import { ExpiredMessages, SWEEP_MESSAGES_MAX } from './expired-messages';

const PATIENCE_MS = 60_000;
const DISAPPEAR_AFTER_SECONDS = 60;
const say = (): void => undefined;

describe('messages that disappear', () => {
  let db: TestDatabase;
  let app: TestApplication;
  let projector: Projector;
  let sweeper: ExpiredMessages;
  let id: ConversationId;
  const clock = new SystemClock();
  /** What the sweeper takes for now. */
  let now = (): number => clock.now();

  beforeEach(async () => {
    db = await createTestDatabase();
    app = await startApplication();
    projector = new Projector({
      ...{ eventLog: app.memory, database: db.database, clock, owner: 'spec' },
      ...{ projections: LIVE_PROJECTIONS, group: LIVE_GROUP, log: { info: say, warn: say, error: say } },
    });
    projector.start();
    now = () => clock.now();
    const config = { roles: new Set(['worker']) } as unknown as Config;
    const itsClock = new (class extends Clock {
      now = () => asMillis(now());
    })();
    sweeper = new ExpiredMessages(
      db.database,
      app.executor,
      new TargetMessages(app.memory),
      itsClock,
      config,
    );
    const start = group([BEN]);
    id = start.conversationId;
    accepted(await app.executor.execute(start));
    const settings = { disappearAfterSeconds: DISAPPEAR_AFTER_SECONDS };
    const at = asMillis(clock.now());
    accepted(
      await app.executor.execute({ type: 'ChangeConversation', conversationId: id, by: ANNA, at, settings }),
    );
  });
  afterEach(async () => {
    await sweeper.stop();
    await projector.stop();
    await app.context.close();
    await db.drop();
  });

  async function projected(): Promise<void> {
    const head = await app.memory.head();
    const names = LIVE_PROJECTIONS.map(({ name }) => name);
    for (const end = Date.now() + PATIENCE_MS; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
      const positions = [...(await readCheckpoints(db.database, names)).values()];
      if (positions.every((position) => hasPassed(position, head))) return;
      if (Date.now() > end) throw new Error('the projector did not catch up');
    }
  }
  /** A message of Anna's, said so many seconds ago. @returns its seq */
  async function said(secondsAgo: number): Promise<Seq> {
    const command = { ...send(id), at: asMillis(clock.now() - secondsAgo * 1_000) };
    return accepted(await app.executor.execute(command)).events[0]?.seq ?? asSeq(-1);
  }
  const unread = async (): Promise<number | undefined> =>
    (await new PostgresInboxReads(db.database).conversation(BEN, id))?.unreadCount;
  const shown = async () => {
    const visible = [{ from: asSeq(0), to: undefined }];
    const history = new PostgresHistoryReads(db.database);
    const { items } = await history.page({ conversationId: id, userId: BEN, visible, limit: 50 });
    return items.map(({ seq, content, deletedAt }) => [seq, content !== null, deletedAt !== undefined]);
  };
  const deletions = async () =>
    (await storedIn(app.memory, id)).filter(({ type }) => type === 'MessageDeleted').map(({ data }) => data);

  it('are deleted by an event once their time is over, and counts follow', async () => {
    const over = await said(DISAPPEAR_AFTER_SECONDS + 1);
    const young = await said(0);
    await projected();
    expect(await unread()).toBe(2);
    expect(await sweeper.sweep()).toBe(1);
    await projected();
    expect(await deletions()).toEqual([{ by: THE_SERVER, target: over }]);
    expect(await unread()).toBe(1);
    expect(await shown()).toEqual([
      [over, false, true],
      [young, true, false],
    ]);
    expect((await verifyReadModels({ eventLog: app.memory, database: db.database })).differences).toEqual([]);
    expect(await sweeper.sweep()).toBe(0);
  });

  it('are hidden from their time on, also when nobody has deleted them yet', async () => {
    const over = await said(DISAPPEAR_AFTER_SECONDS + 1);
    const young = await said(DISAPPEAR_AFTER_SECONDS - 40);
    await projected();
    expect(await shown()).toEqual([
      [over, false, true],
      [young, true, false],
    ]);
    const visible = [{ from: asSeq(0), to: undefined }];
    const history = new PostgresHistoryReads(db.database);
    const query = { conversationId: id, userId: BEN, visible, limit: 9 };
    expect((await history.versions({ ...query, seq: over }))?.items).toMatchObject([{ content: null }]);
    expect((await history.versions({ ...query, seq: young }))?.items).toMatchObject([
      { content: { type: 'text' } },
    ]);
  });

  it('can neither be edited nor reacted to then', async () => {
    const target = await said(DISAPPEAR_AFTER_SECONDS + 1);
    const message = await new TargetMessages(app.memory).find(id, target);
    const about = { conversationId: id, by: ANNA, at: asMillis(clock.now()), target, message };
    const content = { type: 'text', body: 'later' } as const;
    const refused = { kind: 'refused', refusal: { code: 'conflict' } };
    expect(
      await app.executor.execute({ type: 'EditMessage', ...about, content, editWindowMs: 1e9 }),
    ).toMatchObject(refused);
    expect(
      await app.executor.execute({ type: 'SetReaction', ...about, emoji: '👍', on: true }),
    ).toMatchObject(refused);
  });

  it('are deleted once, told of twice, and not before their time', async () => {
    await said(DISAPPEAR_AFTER_SECONDS + 1);
    const young = await said(0);
    await projected();
    await projector.stop();
    // The read model does not hear of it, and names it again.
    expect(await sweeper.sweep()).toBe(1);
    expect(await sweeper.sweep()).toBe(1);
    now = () => clock.now() + DISAPPEAR_AFTER_SECONDS * 1_000;
    expect(await deletions()).toHaveLength(1);
    // By the clock that the command carries, whatever the index says is due.
    const message = await new TargetMessages(app.memory).find(id, young);
    const facts = { conversationId: id, by: THE_SERVER, target: young, message };
    expect(
      await app.executor.execute({ type: 'ExpireMessage', ...facts, at: asMillis(clock.now()) }),
    ).toMatchObject({ kind: 'refused' });
    expect(await sweeper.sweep()).toBe(2);
    expect(await deletions()).toHaveLength(2);
  });

  it(`are taken ${SWEEP_MESSAGES_MAX} at a time, the longest overdue first, until none is left`, async () => {
    const count = SWEEP_MESSAGES_MAX + 1;
    for (let n = 0; n < count; n++) await said(DISAPPEAR_AFTER_SECONDS + count - n);
    await projected();
    expect(await sweeper.sweep()).toBe(SWEEP_MESSAGES_MAX);
    await projected();
    expect((await shown()).at(-1)).toEqual([count + 1, false, true]);
    expect(await unread()).toBe(1);
    sweeper.start();
    for (const end = Date.now() + PATIENCE_MS; (await unread()) !== 0;) {
      if (Date.now() > end) throw new Error('one was left');
      await projected();
    }
  });
});

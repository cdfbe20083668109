import { LIVE_GROUP, LIVE_PROJECTIONS } from '../../projections/live';
import { Projector } from '../../projections/runner/projector';
import { accepted, BEN, group, messagesIn, send } from '../support/conversation-commands';
import { createTestDatabase, type TestDatabase } from '../support/postgres';
import { Executor } from '../../src/application/executor';
import type { SendMessage } from '../../src/domain/conversation/commands';
import { DEDUPE_WINDOW_MAX } from '../../src/domain/conversation/state';
import type { ConversationId } from '../../src/kernel/ids';
import { SystemClock } from '../../src/kernel/clock';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { PostgresMessageIndex } from '../../src/infrastructure/postgres/message-index';

const nothing = (): void => undefined;

/** Two nodes on one log, and the projector that writes the permanent index they share. */
describe('a key that has left the window of every node', () => {
  let db: TestDatabase;
  let log: MemoryEventLog;
  let id: ConversationId;
  let old: SendMessage;
  let nodes: readonly [Executor, Executor];
  let projector: Projector | undefined;

  const project = (): void => {
    projector = new Projector({
      eventLog: log,
      database: db.database,
      projections: LIVE_PROJECTIONS,
      group: LIVE_GROUP,
      owner: 'projector',
      clock: new SystemClock(),
      log: { info: nothing, warn: nothing, error: nothing },
    });
    projector.start();
  };

  beforeEach(async () => {
    db = await createTestDatabase();
    log = new MemoryEventLog();
    const index = new PostgresMessageIndex(db.database);
    nodes = [new Executor(log, index), new Executor(log, index)];
    const start = group([BEN]);
    id = start.conversationId;
    accepted(await nodes[0].execute(start));
    old = send(id, { key: 'chosen-by-hand' });
    accepted(await nodes[0].execute(old));
    const flood = Array.from({ length: DEDUPE_WINDOW_MAX }, () => nodes[0].execute(send(id, { by: BEN })));
    for (const outcome of await Promise.all(flood)) accepted(outcome);
  });
  afterEach(async () => {
    await projector?.stop();
    projector = undefined;
    await db.drop();
  });

  const copies = async (): Promise<number> =>
    (await messagesIn(log, id)).filter(({ key }) => key === old.clientMessageId).length;

  it('is stored once, whatever node it comes back to, and however often at a time', async () => {
    project();
    const again = await Promise.all(
      Array.from({ length: 20 }, (_, n) => nodes[n % 2 === 0 ? 0 : 1].execute(old)),
    );
    // The index may be behind for the first ones: they are refused for the moment, never stored.
    for (const outcome of again) expect(['repeated', 'unavailable']).toContain(outcome.kind);
    for (let left = 100; left > 0; left--) {
      const outcome = await nodes[1].execute(old);
      if (outcome.kind === 'repeated') break;
    }
    expect((await nodes[0].execute(old)).kind).toBe('repeated');
    expect(await copies()).toBe(1);
  });

  it('is refused for the moment while the index is behind, rather than risked', async () => {
    const outcomes = await Promise.all(nodes.map((node) => node.execute(old)));
    expect(outcomes.map(({ kind }) => kind)).toEqual(['unavailable', 'unavailable']);
    expect(await copies()).toBe(1);
  });
});

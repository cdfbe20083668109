import { Set as Members } from 'immutable';
import {
  Author,
  conversationOf,
  DeliveryWorld,
  RecordingConnection,
  userOf,
} from '../../test/support/delivery';
import { FoldedInbox, FoldedProgress } from '../../test/support/folded-inbox';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import type { LogEvent } from '../application/ports/event-log';
import { asDeviceId, asEventId, asMillis, asRevision, asSeq } from '../kernel/ids';
import { POSITION_START } from '../kernel/position';
import { uuidv7 } from '../kernel/uuid';
import { AUDIENCE_MEMBERS_MAX, AUDIENCE_PAGE_EVENTS, Audiences } from './audiences';
import { RECENT_CONVERSATIONS_MAX } from './feed';
import { GAP_SCAN_EVENTS_MAX, GapReader } from './gap-reader';
import { Hub } from './hub';
import { PENDING_CONVERSATIONS_MAX, ReceiptAggregator } from './receipts';
import { SYNC_DEBTS_MAX, SyncDebts } from './sync-debts';
import { STORE_DOWN_MS, SYNC_QUERIES_MAX, SyncInbox } from './sync-inbox';
import { SYNC_PAGE_CONVERSATIONS_MAX, SyncPages, type SyncEntry } from './sync-pages';

const ONE = conversationOf(1);

/** A conversation of `length` messages after its start, stored without deciding each. */
async function longConversation(log: MemoryEventLog, length: number): Promise<void> {
  const started = { by: userOf(0), kind: 'group', memberIds: [userOf(0)] };
  const metadata = { at: '2026-11-22T10:00:00.000Z' };
  const deleted = { by: userOf(0), target: 0 };
  for (let stored = 0; stored <= length; stored += 1_000) {
    const events = Array.from({ length: Math.min(1_000, length + 1 - stored) }, (_, n) => ({
      id: asEventId(uuidv7()),
      type: stored + n === 0 ? 'ConversationStarted' : 'MessageDeleted',
      data: stored + n === 0 ? started : deleted,
      metadata,
    }));
    await log.append(`conversation-${ONE}`, events, { expected: 'any' });
  }
}

const inboxOf = (log: MemoryEventLog) => {
  const inbox = new FoldedInbox(log);
  return { inbox, syncInbox: new SyncInbox(inbox, new FoldedProgress(inbox), new GapReader(log)) };
};

describe('bounds of delivery', () => {
  it('looks at GAP_SCAN_EVENTS_MAX events of a conversation, and says when there are more', async () => {
    const log = new MemoryEventLog();
    await longConversation(log, GAP_SCAN_EVENTS_MAX);
    const scan = (low: number) =>
      new GapReader(log).read({
        conversationId: ONE,
        segments: [{ low: asSeq(low), high: asSeq(GAP_SCAN_EVENTS_MAX) }],
        window: 10,
        see: () => undefined,
      });
    expect(await scan(1)).toEqual({ frames: [], from: 1, limited: false });
    expect(await scan(0)).toEqual({ frames: [], from: 1, limited: true });
  });

  it('loads audiences page by page', async () => {
    const log = new MemoryEventLog();
    await longConversation(log, 2 * AUDIENCE_PAGE_EVENTS);
    const read = jest.spyOn(log, 'readStream');
    const audience = await new Audiences(log).load(ONE, asSeq(AUDIENCE_PAGE_EVENTS));
    expect(audience).toMatchObject({ seq: AUDIENCE_PAGE_EVENTS });
    expect(read).toHaveBeenCalledTimes(3);
  });

  it('remembers audiences of AUDIENCE_MEMBERS_MAX members together, the latest used', () => {
    const audiences = new Audiences(new MemoryEventLog());
    const members = Members(Array.from({ length: 999 }, (_, n) => userOf(n)));
    const count = AUDIENCE_MEMBERS_MAX / 1_000;
    const set = (n: number): void => {
      audiences.set({
        conversationId: conversationOf(n),
        kind: 'group',
        members,
        lastOrdinal: 0,
        seq: asSeq(0),
      });
    };
    for (let n = 0; n < count; n++) set(n);
    expect(audiences.get(conversationOf(0))).toBeDefined();
    set(count);
    expect(audiences.get(conversationOf(0))).toBeDefined();
    expect(audiences.get(conversationOf(1))).toBeUndefined();
  });

  it('puts SYNC_PAGE_CONVERSATIONS_MAX conversations on a page', async () => {
    const sizes: number[] = [];
    const synced: string[] = [];
    const pages = new SyncPages(
      (entries) => {
        sizes.push(entries.length);
        return Promise.resolve();
      },
      (id) => synced.push(id),
    );
    const entryOf = (n: number): SyncEntry => ({
      conversationId: conversationOf(n),
      summary: null,
      frames: [],
      from: asSeq(0),
      headSeq: asSeq(0),
      limited: false,
      removed: false,
    });
    for (let n = 0; n <= SYNC_PAGE_CONVERSATIONS_MAX; n++) await pages.add(entryOf(n));
    expect(synced).toHaveLength(SYNC_PAGE_CONVERSATIONS_MAX);
    await pages.flush();
    expect(sizes).toEqual([SYNC_PAGE_CONVERSATIONS_MAX, 1]);
  });

  it('remembers for the probe what came in RECENT_CONVERSATIONS_MAX conversations, the last ones', () => {
    const { feed, lanes } = new DeliveryWorld();
    jest.spyOn(lanes, 'take').mockImplementation((_event, done) => {
      done();
    });
    const eventIn = (n: number): LogEvent => ({
      ...{ stream: `conversation-${conversationOf(n)}`, revision: asRevision(0n) },
      ...{ id: asEventId(uuidv7()), type: 'MessageDeleted', data: { by: userOf(0), target: 0 } },
      ...{ metadata: { at: '2026-11-22T10:00:00.000Z' }, created: asMillis(0) },
      position: { commit: BigInt(n), prepare: BigInt(n) },
    });
    for (let n = 0; n < RECENT_CONVERSATIONS_MAX; n++) feed.repair(eventIn(n));
    expect(feed.hasTaken(eventIn(0))).toBe(true);
    feed.repair(eventIn(RECENT_CONVERSATIONS_MAX));
    const taken = [0, 1, RECENT_CONVERSATIONS_MAX].map((n) => feed.hasTaken(eventIn(n)));
    expect(taken).toEqual([false, true, true]);
    jest.restoreAllMocks();
  });

  it('asks the inbox SYNC_QUERIES_MAX times at once', async () => {
    const { inbox, syncInbox } = inboxOf(new MemoryEventLog());
    let running = 0;
    let most = 0;
    jest.spyOn(inbox, 'heads').mockImplementation(async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return { items: [], asOf: POSITION_START };
    });
    await Promise.all(Array.from({ length: 4 * SYNC_QUERIES_MAX }, (_, n) => syncInbox.heads(userOf(n))));
    expect(most).toBe(SYNC_QUERIES_MAX);
  });

  it('does not ask a store that is down for STORE_DOWN_MS', async () => {
    let now = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => now);
    const { inbox, syncInbox } = inboxOf(new MemoryEventLog());
    inbox.mode = 'down';
    expect(await syncInbox.heads(userOf(1))).toBeUndefined();
    inbox.mode = 'live';
    now = STORE_DOWN_MS - 1;
    expect(await syncInbox.heads(userOf(1))).toBeUndefined();
    expect(await syncInbox.hasPassed(POSITION_START, 1)).toBe(false);
    expect(inbox.headsAsked).toBe(1);
    now = STORE_DOWN_MS;
    expect((await syncInbox.heads(userOf(1)))?.items).toEqual([]);
    jest.restoreAllMocks();
  });

  it('owes SYNC_DEBTS_MAX devices something, and forgets them when it stops', () => {
    const { syncInbox } = inboxOf(new MemoryEventLog());
    const debts = new SyncDebts(new Hub({ limits: {} } as never), syncInbox);
    const owe = (connection: RecordingConnection): void => {
      const nothing = { cursors: new Map(), answered: new Set<never>(), unsummarised: new Set<never>() };
      debts.owe({ connection, position: POSITION_START, recent: 1, ...nothing });
    };
    const first = new RecordingConnection(userOf(0));
    for (let n = 0; n < SYNC_DEBTS_MAX; n++) owe(n === 0 ? first : new RecordingConnection(userOf(n)));
    owe(new RecordingConnection(userOf(1), 'one more'));
    owe(first);
    expect(debts.size).toBe(SYNC_DEBTS_MAX);
    debts.stop();
    expect(debts.size).toBe(0);
  });

  it('holds receipts of PENDING_CONVERSATIONS_MAX conversations, then refuses more as unavailable', async () => {
    const world = new DeliveryWorld();
    await new Author(world, ONE).start([0, 1]);
    await new Author(world, ONE).say(0);
    const state = await world.executor.state(ONE);
    if (state === undefined) throw new Error('no conversation');
    // The same conversation under many names: what is counted is how many wait.
    const states = jest.spyOn(world.executor, 'state');
    states.mockImplementation((id) => Promise.resolve({ ...state, conversationId: id }));
    const receipts = new ReceiptAggregator(world.executor, world.clock, world.metrics);
    const execute = jest.spyOn(world.executor, 'execute');
    let finish = (): void => undefined;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    execute.mockImplementation(async () => {
      await gate;
      return { kind: 'unchanged', head: asSeq(1) };
    });
    const device = asDeviceId('phone');
    const cursors = Array.from({ length: PENDING_CONVERSATIONS_MAX }, (_, n) => [conversationOf(n), 1]);
    const all = Object.fromEntries(cursors) as Record<string, number>;
    expect(await receipts.delivered(userOf(1), device, all)).toBeUndefined();
    expect(receipts.size).toBe(PENDING_CONVERSATIONS_MAX);
    const more = { [conversationOf(PENDING_CONVERSATIONS_MAX)]: 1 };
    expect(await receipts.delivered(userOf(1), device, more)).toMatchObject({ code: 'unavailable' });
    expect(await receipts.delivered(userOf(1), device, { [ONE]: 1 })).toBeUndefined();
    finish();
    await receipts.flush();
    expect(receipts.size).toBe(0);
    await world.stop();
  });
});

import { factOf, taggedBody, type Entry, type Evidence, type Journal, type LoggedEvent } from '../journal';
import { due, fold } from './fold';

export const ROOM = '01938f3a-0000-7000-8000-00000000000a';
export const OTHER = '01938f3a-0000-7000-8000-00000000000b';
export const [ANN, BOB, CID] = ['a', 'b', 'c'].map((n) => `01938f3a-0000-7000-8000-00000000010${n}`) as [
  string,
  string,
  string,
];
const FRAMES: Readonly<Record<string, string>> = {
  ConversationStarted: 'conversation.started',
  MembershipChanged: 'membership.changed',
  MessageSent: 'message.sent',
  MessageDelivered: 'message.delivered',
  MessageRead: 'message.read',
};

/** Ann and Bob write; Cid comes and is thrown out; Bob has read Ann's first message. */
export function story(room: string): LoggedEvent[] {
  let messages = 0;
  const events: [string, Record<string, unknown>][] = [
    ['ConversationStarted', { by: ANN, kind: 'group', memberIds: [ANN, BOB] }],
    ['MessageSent', said(ANN, 1)],
    ['MessageSent', said(ANN, 2)],
    ['MessageRead', { by: BOB, cursors: [{ userId: BOB, upTo: 1 }], audience: 'everyone' }],
    ['MembershipChanged', { by: ANN, userId: CID, change: 'joined' }],
    ['MessageSent', said(ANN, 3)],
    [
      'MessageDelivered',
      { by: BOB, cursors: [{ userId: BOB, deviceId: 'b', upTo: 5 }], audience: 'everyone' },
    ],
    ['MembershipChanged', { by: ANN, userId: CID, change: 'removed' }],
    ['MessageSent', said(ANN, 4)],
    ['MessageSent', said(ANN, 5)],
  ];
  function said(by: string, n: number): Record<string, unknown> {
    const body = taggedBody(room, by, n);
    return {
      by,
      clientMessageId: `key-${n}`,
      messageId: `m${n}`,
      ordinal: ++messages,
      content: { type: 'text', body },
    };
  }
  return events.map(([type, data], seq) => ({ conversationId: room, seq, type, at: `at-${seq}`, data }));
}

export const seen = (
  event: LoggedEvent,
  via: 'push' | 'page',
  socket: number,
): Extract<Entry, { type: 'seen' }> => ({
  type: 'seen',
  via,
  socket,
  conversationId: event.conversationId,
  seq: event.seq,
  event: FRAMES[event.type] ?? '',
  fact: factOf(event.at, event.data),
});

/** A device that saw the first `upTo` events live, lost its connection, and got the rest by a sync and live. */
function honestWire(userId: string, log: readonly LoggedEvent[], upTo: number, pageEnd: number): Journal {
  const folded = fold(log);
  const events = (after: number, to: number): LoggedEvent[] =>
    due(folded, userId, after, to).map((seq) => log[seq] as LoggedEvent);
  const page = events(upTo, pageEnd).map((event) => seen(event, 'page', 2));
  const entries: Entry[] = [
    { type: 'ready', socket: 1 },
    { type: 'syncAsked', socket: 1, cursors: {} },
    { type: 'synced', socket: 1 },
    ...events(-1, upTo).map((event) => seen(event, 'push', 1)),
    { type: 'closed', socket: 1, code: 1006 },
    { type: 'ready', socket: 2 },
    { type: 'syncAsked', socket: 2, cursors: { [ROOM]: upTo } },
    ...(page.length === 0
      ? []
      : [
          {
            type: 'page',
            socket: 2,
            conversationId: ROOM,
            from: upTo + 1,
            headSeq: pageEnd,
            limited: false,
            removed: false,
          } as const,
        ]),
    ...page,
    { type: 'synced', socket: 2 },
    ...events(pageEnd, log.length).map((event) => seen(event, 'push', 2)),
  ];
  return { device: `${userId}-wire`, userId, kind: 'wire', entries, isCaughtUp: true };
}

function honestSdk(userId: string, log: readonly LoggedEvent[]): Journal {
  const events = due(fold(log), userId, -1, log.length).map((seq) => log[seq] as LoggedEvent);
  const entries: Entry[] = [{ type: 'ready', socket: 1 }, ...events.map((event) => seen(event, 'push', 1))];
  return { device: `${userId}-sdk`, userId, kind: 'application', entries, isCaughtUp: true };
}

export interface Forgery {
  readonly log: LoggedEvent[];
  readonly ann: Journal;
  readonly bob: Journal;
  readonly sdk: Journal;
  readonly cid: Journal;
  readonly views: Record<string, unknown>[];
}

export function honest(): Forgery {
  const log = story(ROOM);
  const ann = honestWire(ANN, log, 2, 5);
  const sends = log.filter(({ type }) => type === 'MessageSent');
  const claims = sends.flatMap(({ seq, data }): Entry[] => {
    const key = String(data['clientMessageId']);
    const [conversationId, ordinal] = [ROOM, Number(data['ordinal'])];
    return [
      { type: 'sent', socket: 1, conversationId, key },
      { type: 'acked', socket: 1, conversationId, key, seq, ordinal },
    ];
  });
  ann.entries.splice(1, 0, ...claims);
  ann.entries.push({ type: 'readBack', conversationId: ROOM, seq: 9, found: true });
  const view = (userId: string, unreadCount: number, readUpTo: number): Record<string, unknown> => ({
    ...{ userId, conversationId: ROOM, status: 200, headSeq: 9, lastOrdinal: 5, unreadCount, readUpTo },
    history: [1, 2, 5, 8, 9],
  });
  return {
    log,
    ann,
    bob: honestWire(BOB, log, 3, 7),
    sdk: honestSdk(BOB, log),
    cid: honestWire(CID, log, 5, 7),
    views: [view(ANN, 0, 9), view(BOB, 4, 1), { userId: CID, conversationId: ROOM, status: 404 }],
  };
}

export const evidenceOf = ({ log, ann, bob, sdk, cid, views }: Forgery): Evidence => ({
  log: new Map([[ROOM, log]]),
  journals: [ann, bob, sdk, cid],
  views: views as unknown as Evidence['views'],
});

/** The nth entry of a type, counted from the end when negative. */
export function at({ entries }: Journal, type: Entry['type'], n: number): number {
  const places = entries.flatMap((entry, place) => (entry.type === type ? [place] : []));
  return places.at(n) ?? -1;
}
export const change = (journal: Journal, place: number, by: object): void => {
  journal.entries[place] = { ...journal.entries[place], ...by } as Entry;
};

/** What a device writes down of one event it was given. */
export interface SeenEvent {
  readonly conversationId: string;
  readonly seq: number;
  readonly event: string;
  /** All that matters of the event, as one line of text; the judge makes the same line from the log. */
  readonly fact: string;
}

/** A part of a `sync` answer: a conversation of a `sync.page`. */
export interface SeenPage {
  readonly conversationId: string;
  readonly from: number;
  readonly headSeq: number;
  readonly limited: boolean;
  readonly removed: boolean;
}

/** Whatever happens to a device, in the order in which it happens. `socket` numbers its connections from 1. */
export type Entry =
  | { readonly type: 'ready'; readonly socket: number }
  | { readonly type: 'sent'; readonly socket: number; readonly conversationId: string; readonly key: string }
  | {
      readonly type: 'acked';
      readonly socket: number;
      readonly conversationId: string;
      readonly key: string;
      readonly seq: number;
      readonly ordinal: number;
    }
  | { readonly type: 'refused'; readonly key: string; readonly code: string; readonly retryable: boolean }
  | ({ readonly type: 'seen'; readonly socket: number; readonly via: 'push' | 'page' } & SeenEvent)
  | {
      readonly type: 'syncAsked';
      readonly socket: number;
      readonly cursors: Readonly<Record<string, number>>;
    }
  | ({ readonly type: 'page'; readonly socket: number } & SeenPage)
  | { readonly type: 'synced'; readonly socket: number }
  | { readonly type: 'resync'; readonly socket: number; readonly conversationIds: readonly string[] }
  /** A read with `minSeq` after an acknowledgement: was the message there? */
  | {
      readonly type: 'readBack';
      readonly conversationId: string;
      readonly seq: number;
      readonly found: boolean;
    }
  | { readonly type: 'closed'; readonly socket: number; readonly code: number };

/**
 * `wire`: what came over the socket, repetitions included. `application`: what the SDK handed to its application,
 * where nothing may come twice.
 */
type JournalKind = 'wire' | 'application';

/** What one device was told and shown over all its connections. */
export interface Journal {
  readonly device: string;
  readonly userId: string;
  readonly kind: JournalKind;
  readonly entries: Entry[];
  /** Was live, in sync and at the head of all its conversations when the run ended. */
  isCaughtUp: boolean;
}

/** An event as the log holds it: read by a client of the store's own, not by the server's code. */
export interface LoggedEvent {
  readonly conversationId: string;
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What REST says of a conversation to one user when all is quiet; undefined fields: it answered 403 or 404. */
export interface RestView {
  readonly userId: string;
  readonly conversationId: string;
  readonly status: number;
  readonly headSeq?: number;
  readonly lastOrdinal?: number;
  readonly unreadCount?: number;
  readonly readUpTo?: number;
  /** `seq` of every message in history, ascending. */
  readonly history?: readonly number[];
}

/** All that the judge goes by. */
export interface Evidence {
  readonly log: ReadonlyMap<string, readonly LoggedEvent[]>;
  readonly journals: readonly Journal[];
  readonly views: readonly RestView[];
}

/** Says for whom a text is meant, so that a frame in the wrong hands is known by its body. */
export const taggedBody = (conversationId: string, userId: string, n: number): string =>
  `for ${conversationId} by ${userId} number ${n}`;
const TAG = /^for ([0-9a-f-]{36}) by ([0-9a-f-]{36}) number \d+$/;

/** The conversation that a body was written for; undefined: the body has no tag. */
export const audienceOfBody = (fact: string): string | undefined => {
  const body = /for [0-9a-f-]{36} by [0-9a-f-]{36} number \d+/.exec(fact)?.[0];
  return body === undefined ? undefined : TAG.exec(body)?.[1];
};

/** Fields of an event in one line; whichever of them an event has. The order of fields is ours. */
export function factOf(at: string, data: Readonly<Record<string, unknown>>): string {
  const fields = FACT_FIELDS.filter((field) => data[field] !== undefined);
  return `${at} ${fields.map((field) => `${field}=${textOf(data[field])}`).join(' ')}`;
}

const FACT_FIELDS = [
  'by',
  'kind',
  'title',
  'memberIds',
  'userId',
  'change',
  'role',
  'messageId',
  'clientMessageId',
  'ordinal',
  'target',
  'version',
  'emoji',
  'content',
];

/** Keys in one order: which one a store keeps them in is its own business. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

import type { EventId, Revision } from '../../kernel/ids';
import { POSITION_START, type Position } from '../../kernel/position';

/** One append may hold this many bytes of data and metadata, as in EventStoreDB. */
export const APPEND_BYTES_MAX = 1_048_576;
export const READ_EVENTS_MAX = 4_096;

/** JSON in, JSON out; the log never interprets it. */
export interface NewEvent {
  /** Repeating an append with the same ids and expected revision stores nothing new. */
  readonly id: EventId;
  readonly type: string;
  readonly data: object;
  readonly metadata: object;
  /** `data` as JSON, when the writer has it already: an adapter may store it as it is. */
  readonly dataText?: string;
}

export interface LogEvent {
  readonly stream: string;
  readonly revision: Revision;
  /** Its place: whoever follows the log joins it to where they are (`furthest`). */
  readonly position: Position;
  readonly id: EventId;
  readonly type: string;
  /** Parsed once per process and shared by all readers: treat as frozen. */
  readonly data: unknown;
  readonly metadata: unknown;
  /** When the store recorded it, in milliseconds since the epoch; not used for ordering. */
  readonly created: number;
}

export type ExpectedRevision = Revision | 'any' | 'noStream' | 'streamExists';

export type AppendResult =
  | { readonly kind: 'appended'; readonly revision: Revision; readonly position: Position }
  /** Nothing was written. `actual` is the stream's last revision; undefined: there is no stream. */
  | { readonly kind: 'wrongExpectedRevision'; readonly actual: Revision | undefined };

export type StreamRead =
  | {
      readonly kind: 'events';
      readonly events: readonly LogEvent[];
      /** More may follow in the direction of reading. */
      readonly more: boolean;
      /**
       * Oldest revision still readable, when the start was asked for and has been truncated away; a reader
       * whose cursor lies before it has lost events and must say so (`cursor_truncated`).
       */
      readonly truncatedBefore?: Revision;
    }
  | { readonly kind: 'streamNotFound' }
  | { readonly kind: 'streamDeleted' };

export interface ReadStreamOptions {
  /** Inclusive. Default: the start forwards, the end backwards. */
  readonly from?: Revision;
  readonly direction?: 'forwards' | 'backwards';
  /** 1..READ_EVENTS_MAX. */
  readonly limit: number;
}

/** Exactly one of the lists, or neither. Prefixes are compared by code unit. */
export interface LogFilter {
  readonly streamPrefixes?: readonly string[];
  readonly eventTypePrefixes?: readonly string[];
}

export interface ReadAllOptions {
  /** Exclusive: the first event returned lies after (forwards) or before (backwards) it. Default: the end it starts from. */
  readonly after?: Position;
  readonly direction?: 'forwards' | 'backwards';
  readonly limit: number;
  readonly filter?: LogFilter;
  /** Of a log in shards, only these, from 0; `next` leaves the others where `after` has them. Default: all. */
  readonly shards?: ReadonlySet<number>;
}

export interface AllRead {
  readonly events: readonly LogEvent[];
  /** Where the next page continues (`after`), also when the filter let nothing through. */
  readonly next: Position;
  readonly endOfLog: boolean;
}

export interface SubscribeOptions {
  /** Exclusive. `end`: only what is appended from now on. */
  readonly after: Position | 'start' | 'end';
  readonly filter?: LogFilter;
  readonly signal?: AbortSignal;
  /** Of a log in shards, only these, from 0. Default: all. */
  readonly shards?: ReadonlySet<number>;
}

export type SubscriptionItem =
  | { readonly kind: 'event'; readonly event: LogEvent }
  /** Nothing that passes the filter lies between the last item and `position`. */
  | { readonly kind: 'checkpoint'; readonly position: Position }
  /** From here on items arrive as they are appended. */
  | { readonly kind: 'caughtUp'; readonly position: Position };

/** The store cannot be reached, or refuses work for now; nothing was written. Retryable. */
export class EventLogUnavailable extends Error {
  override readonly name = 'EventLogUnavailable';
}

/** One store of several cannot be reached, and with it the conversations that lie there; the others go on. */
export class ShardAway extends EventLogUnavailable {
  /** @param shard counted from 0 */
  constructor(
    readonly shard: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The connection broke, or time ran out, after an append was handed over: it may or may not be stored. */
export class AppendOutcomeUnknown extends Error {
  override readonly name = 'AppendOutcomeUnknown';
}

/** More than APPEND_BYTES_MAX in one append; nothing was written. */
export class AppendTooLarge extends Error {
  override readonly name = 'AppendTooLarge';
}

export class StreamDeletedError extends Error {
  override readonly name = 'StreamDeletedError';
}

const NO_SHARDS: ReadonlySet<number> = new Set();

/**
 * The port to the log (DESIGN.md section 3): EventStoreDB, the embedded engine, or memory; one contract suite
 * in test/contracts/event-log.contract.ts says what all of them do.
 *
 * Positions rise strictly over the log, or over each shard of it; revisions within a stream are dense from 0. A log in
 * shards gives events of several in any order, those of one in theirs.
 * All methods may reject with {@link EventLogUnavailable}.
 */
export abstract class EventLog {
  /**
   * Resolves only after the events are durable. All of them or none are stored, at adjacent revisions.
   * @throws AppendOutcomeUnknown, AppendTooLarge, StreamDeletedError (a tombstoned stream)
   */
  abstract append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult>;
  abstract readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead>;
  abstract readAll(options: ReadAllOptions): Promise<AllRead>;
  /**
   * Every event after `after` once and in order, first the stored, then the live ones. The iterator ends
   * when `signal` aborts or the store goes away; the reader then subscribes again from its last position.
   * At most a bounded number of items is held for a slow reader.
   */
  abstract subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem>;
  /** Position of the last event of the log, or POSITION_START. */
  abstract head(): Promise<Position>;
  /** The same, of the events that pass the filter. */
  async headOf(filter: LogFilter): Promise<Position> {
    for (let after: Position | undefined; ;) {
      const backwards = { direction: 'backwards', limit: 1, filter } as const;
      const page = await this.readAll({ ...backwards, ...(after === undefined ? {} : { after }) });
      const [last] = page.events;
      if (last !== undefined || page.endOfLog) return last?.position ?? POSITION_START;
      after = page.next;
    }
  }
  /**
   * Where whoever begins to follow the log now stands: at its end, in the shards that are there. In one that is away it
   * is a place up to which the read models have everything, so that what lies after it comes when the shard is back.
   */
  headToFollow(filter: LogFilter): Promise<Position> {
    return this.headOf(filter);
  }
  /** The shards, counted from 0, of which the last that was heard is that they are away. */
  get away(): ReadonlySet<number> {
    return NO_SHARDS;
  }
  /** The shard in which a stream lies. */
  shardOf(_stream: string): number {
    return 0;
  }
  /** Keeps only the last `maxCount` events of a stream readable. */
  abstract setMaxCount(stream: string, maxCount: number): Promise<void>;
  /** Logs that this one consists of. */
  get shards(): number {
    return 1;
  }
  /** One of them by itself, from 0, with places of its own; of a log without shards, the log. */
  // eslint-disable-next-line @typescript-eslint/prefer-return-this-type -- a log that consists of others returns one of them
  shard(_number: number): EventLog {
    return this;
  }
  /** Identity of this log (PROTOCOL.md section 1); changes only when an older backup is restored. */
  abstract epoch(): Promise<string>;
  /**
   * Identity of this log's positions: whoever keeps a position keeps this beside it. Another one in another epoch, and in
   * every copy that another store has numbered anew. Of several shards, one word for each, with spaces between them: a shard
   * more leaves the positions in the others good.
   */
  numbering(): Promise<string> {
    return this.epoch();
  }
}

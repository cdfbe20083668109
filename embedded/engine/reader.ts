import { EngineError } from './errors';
import { compileFilter, type EventFilter, type EventPredicate } from './filter';
import type { LiveTail } from './live-tail';
import type { RecordedEvent } from './record';
import type { IndexEntry, Storage } from './storage';
import type { StreamIndex } from './stream-index';
import { firstByCount, isSoftDeleted, type StreamState } from './stream-state';

export const READ_EVENTS_MAX = 4_096;
/** Records that one read of the whole log looks at; a filter may let none of them through. */
export const SCANNED_RECORDS_MAX = 8_192;

export type Direction = 'forwards' | 'backwards';

export interface StreamReadOptions {
  /** Inclusive. Default: the start forwards, the end backwards. */
  readonly from?: number;
  readonly direction?: Direction;
  /** 1..READ_EVENTS_MAX. */
  readonly limit: number;
}

export type StreamPage =
  | {
      readonly kind: 'events';
      readonly events: readonly RecordedEvent[];
      /** More may follow in the direction of reading. */
      readonly more: boolean;
      /** Revision of the stream's last event. */
      readonly head: number;
      /** Oldest readable revision, when the read was to start before it. */
      readonly truncatedBefore?: number;
    }
  | { readonly kind: 'streamNotFound' }
  | { readonly kind: 'streamDeleted' };

export interface StreamTailPage {
  readonly events: readonly RecordedEvent[];
  /** Revision after which the next page begins. */
  readonly next: number;
  readonly more: boolean;
  /** The stream has a tombstone: nothing comes after these. */
  readonly deleted: boolean;
}

export interface LogReadOptions {
  /** Exclusive: a position; -1 is before the first. Default: the start forwards, the end backwards. */
  readonly after?: number;
  readonly direction?: Direction;
  /** 1..READ_EVENTS_MAX. */
  readonly limit: number;
  readonly filter?: EventFilter;
}

export interface LogPage {
  readonly events: readonly RecordedEvent[];
  /** Where the next page continues (`after`), also when the filter let nothing through. */
  readonly next: number;
  readonly endOfLog: boolean;
}

/** Reads what is on the disk; what is still being written does not exist yet. */
export class Reader {
  constructor(
    private readonly storage: Storage,
    private readonly index: StreamIndex,
    private readonly tail: LiveTail,
    private readonly now: () => number,
  ) {}

  /** @throws EngineError `invalid`, `corrupt` */
  stream(name: string, options: StreamReadOptions): StreamPage {
    checkLimit(options.limit);
    const state = this.index.find(name);
    if (state !== undefined && this.hasTombstone(state)) return { kind: 'streamDeleted' };
    const head = state === undefined ? -1 : this.durableHead(state);
    if (state === undefined || head < 0 || isSoftDeleted(state)) return { kind: 'streamNotFound' };
    const first = this.firstReadable(state, head);
    const backwards = options.direction === 'backwards';
    const from = options.from ?? (backwards ? head : 0);
    if (from < 0) throw new EngineError('invalid', `a revision is not negative: ${from}`);
    const newest = Math.min(from, head);
    const begin = backwards ? Math.max(first, newest + 1 - options.limit) : Math.max(first, from);
    const end = backwards ? newest : Math.min(head, begin + options.limit - 1);
    const events = this.load(this.index.entries(state, begin, end));
    return {
      kind: 'events',
      events: backwards ? events.reverse() : events,
      more: backwards ? begin > first : end < head,
      head,
      ...(from < first ? { truncatedBefore: first } : {}),
    };
  }

  /**
   * What a subscriber of one stream has not seen. One that keeps up gets every event, also those that count
   * or
   * truncation hide from reads by the time it looks; one that catches up gets what a read would give.
   *
   * @throws EngineError `corrupt`
   */
  streamAfter(name: string, after: number, limit: number, keepsUp: boolean): StreamTailPage {
    const state = this.index.find(name);
    if (state === undefined) return { events: [], next: after, more: false, deleted: false };
    const head = this.durableHead(state);
    const deleted = this.hasTombstone(state);
    const first = keepsUp ? after + 1 : Math.max(after + 1, this.firstUnlessGone(state, head, deleted));
    if (first > head) return { events: [], next: after, more: false, deleted };
    const end = Math.min(head, first + limit - 1);
    const entries = this.index.entries(state, first, end);
    // Recent ones are shared by all who follow the stream: a thousand subscribers do not read one event a
    // thousand times.
    const found = entries.map(({ position }) => this.tail.find(position) ?? this.storage.record(position));
    const events = found.filter((event) => event !== undefined);
    return { events, next: end, more: end < head, deleted };
  }

  /** Revision of the stream's last event on the disk; -1 when it never had one. */
  headOf(name: string): number {
    const state = this.index.find(name);
    return state === undefined ? -1 : this.durableHead(state);
  }

  /** @throws EngineError `invalid`, `corrupt` */
  log(options: LogReadOptions): LogPage {
    checkLimit(options.limit);
    const passes = compileFilter(options.filter);
    return options.direction === 'backwards'
      ? this.backwards(options.after ?? this.tail.last + 1, options.limit, passes)
      : this.forwards(options.after ?? -1, options.limit, passes);
  }

  forwards(after: number, limit: number, passes: EventPredicate): LogPage {
    return readForwards(this.storage, this.tail.last, { after, limit, passes });
  }

  private backwards(before: number, limit: number, passes: EventPredicate): LogPage {
    const events: RecordedEvent[] = [];
    let scanned = 0;
    let next = Math.min(before, this.tail.last + 1);
    for (const event of this.storage.recordsBackwards(next - 1, 0, SCANNED_RECORDS_MAX)) {
      scanned++;
      next = event.position;
      if (passes(event) && events.push(event) >= limit) break;
    }
    const stoppedEarly = events.length >= limit || scanned >= SCANNED_RECORDS_MAX;
    if (!stoppedEarly) next = 0;
    return { events, next, endOfLog: next <= 0 };
  }

  /** Oldest revision that count, truncation and age let through; above `head` when nothing does. */
  firstReadable(state: StreamState, head: number): number {
    const first = firstByCount(state, head);
    const { maxAgeMs } = state.settings;
    if (maxAgeMs === undefined) return first;
    // Times rise along a stream, but for steps of the clock, so the border is found by halving.
    const oldest = this.now() - maxAgeMs;
    let [low, high] = [first, head + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const position = this.index.positionOf(state, middle);
      const created =
        position === undefined ? -Infinity : (this.storage.record(position)?.created ?? -Infinity);
      if (created < oldest) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The head without what is being written. */
  durableHead(state: StreamState): number {
    let head = state.head;
    for (let n = state.unindexed.length - 1; n >= 0; n--) {
      if ((state.unindexed[n] as number) <= this.tail.last) break;
      head--;
    }
    return head;
  }

  private firstUnlessGone(state: StreamState, head: number, deleted: boolean): number {
    return deleted || isSoftDeleted(state) ? head + 1 : this.firstReadable(state, head);
  }

  private hasTombstone({ tombstone }: StreamState): boolean {
    return tombstone !== undefined && tombstone <= this.tail.last;
  }

  private load(entries: readonly IndexEntry[]): RecordedEvent[] {
    const events: RecordedEvent[] = [];
    for (const { position } of entries) {
      const event = this.storage.record(position);
      if (event !== undefined) events.push(event);
    }
    return events;
  }
}

/** The events after `after` that pass, as far as the log is known to go: up to and including `last`. */
export function readForwards(
  storage: Storage,
  last: number,
  { after, limit, passes }: { after: number; limit: number; passes: EventPredicate },
): LogPage {
  const events: RecordedEvent[] = [];
  let scanned = 0;
  // A position that is not reached yet must not hide what will be written before it.
  let next = Math.min(after, last);
  for (const event of storage.records(next + 1, last, SCANNED_RECORDS_MAX)) {
    scanned++;
    next = event.position;
    if (passes(event) && events.push(event) >= limit) break;
  }
  const stoppedEarly = events.length >= limit || scanned >= SCANNED_RECORDS_MAX;
  if (!stoppedEarly) next = last;
  return { events, next, endOfLog: next >= last };
}

function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > READ_EVENTS_MAX) {
    throw new EngineError('invalid', `a read takes 1 to ${READ_EVENTS_MAX} events, not ${limit}`);
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import { compileFilter, type EventFilter, type EventPredicate } from './filter';
import type { LiveTail } from './live-tail';
import type { Reader } from './reader';
import type { RecordedEvent } from './record';

/** Events read from the store at a time; what a subscriber that fell behind holds at most. */
const REPLAY_EVENTS_MAX = 512;

export interface SubscribeOptions {
  /** Exclusive: a position; -1 is before the first. `end`: only what is appended from now on. */
  readonly after: number | 'end';
  readonly filter?: EventFilter;
  readonly signal?: AbortSignal;
}

export type SubscriptionItem =
  | { readonly kind: 'event'; readonly event: RecordedEvent }
  /** Nothing that passes the filter lies between the last item and `position`. */
  | { readonly kind: 'checkpoint'; readonly position: number }
  /** From here on items arrive as they are appended; again after a time of falling behind. */
  | { readonly kind: 'caughtUp'; readonly position: number }
  /**
   * The subscriber was too slow for the events in memory: items come from the store until it has caught up.
   */
  | { readonly kind: 'fellBehind'; readonly position: number };

/** Where a subscription gets stored events from, and what it knows of the end of the log. */
type StoredEvents = Pick<Reader, 'forwards'>;
export type LogEnd = Pick<LiveTail, 'last' | 'oldest' | 'closed' | 'at' | 'past'>;

/**
 * Every event after `after` that passes the filter, once and in order, until the signal aborts or the store
 * closes. An event comes after it is on the disk: what was delivered is in the log, whatever happens next.
 */
export function subscribeToLog(
  reader: StoredEvents,
  tail: LogEnd,
  options: SubscribeOptions,
): AsyncGenerator<SubscriptionItem, void, undefined> {
  // Both are decided at the call, not when the reader first asks.
  const passes = compileFilter(options.filter);
  const after = options.after === 'end' ? tail.last : Math.min(options.after, tail.last);
  return follow(reader, tail, after, passes, options.signal);
}

async function* follow(
  reader: StoredEvents,
  tail: LogEnd,
  after: number,
  passes: EventPredicate,
  signal: AbortSignal | undefined,
): AsyncGenerator<SubscriptionItem, void, undefined> {
  const ended = (): boolean => tail.closed || signal?.aborted === true;
  let at = after;
  let live = false;
  let reported = after;
  while (!ended()) {
    const stored = at + 1 < tail.oldest;
    if (live && stored) {
      live = false;
      yield { kind: 'fellBehind', position: at };
    }
    const page = stored ? reader.forwards(at, REPLAY_EVENTS_MAX, passes) : recent(tail, at, passes);
    for (const event of page.events) {
      if (ended()) return;
      yield { kind: 'event', event };
      reported = event.position;
    }
    at = page.next;
    if (at > reported && !ended()) {
      reported = at;
      yield { kind: 'checkpoint', position: at };
    }
    if (stored) {
      // A long replay, most of all one whose filter lets little through, must let others have their turns.
      await nextTurn();
    }
    if (at < tail.last) continue;
    if (!live && !ended()) {
      live = true;
      yield { kind: 'caughtUp', position: at };
    }
    await tail.past(at, signal);
  }
}

function recent(
  tail: LogEnd,
  after: number,
  passes: EventPredicate,
): { readonly events: readonly RecordedEvent[]; readonly next: number } {
  const last = Math.min(tail.last, after + REPLAY_EVENTS_MAX);
  const events: RecordedEvent[] = [];
  for (let position = after + 1; position <= last; position++) {
    const event = tail.at(position);
    if (passes(event)) events.push(event);
  }
  return { events, next: last };
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LiveTail } from './live-tail';
import type { Reader } from './reader';
import type { RecordedEvent } from './record';

/** Events read at a time; what a subscriber that fell behind holds at most. */
const PAGE_EVENTS_MAX = 64;

export interface StreamSubscribeOptions {
  /** Exclusive: a revision; -1 is before the first. `end`: only what is appended from the call on. */
  readonly after: number | 'end';
  readonly signal?: AbortSignal;
}

export type StreamSubscriptionItem =
  | { readonly kind: 'event'; readonly event: RecordedEvent }
  /** From here on items arrive as they are appended; again after a time of falling behind. */
  | { readonly kind: 'caughtUp' }
  /** Came more than a page behind while it was live. */
  | { readonly kind: 'fellBehind' }
  /** The stream was deleted for ever; nothing follows. */
  | { readonly kind: 'deleted' };

/**
 * Every event of a stream after `after`, once and in order, until the signal aborts, the store closes or the
 * stream is deleted for ever. It waits for its own stream alone.
 */
export function subscribeToStream(
  reader: Reader,
  tail: LiveTail,
  stream: string,
  options: StreamSubscribeOptions,
): AsyncGenerator<StreamSubscriptionItem, void, undefined> {
  // Decided at the call, not when the reader first asks: what is appended in between is wanted.
  const after = options.after === 'end' ? reader.headOf(stream) : options.after;
  return follow(reader, tail, stream, after, options.signal);
}

async function* follow(
  reader: Reader,
  tail: LiveTail,
  stream: string,
  after: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamSubscriptionItem, void, undefined> {
  const ended = (): boolean => tail.closed || signal?.aborted === true;
  let at = after;
  let live = false;
  while (!ended()) {
    const page = reader.streamAfter(stream, at, PAGE_EVENTS_MAX, live);
    for (const event of page.events) {
      if (ended()) return;
      yield { kind: 'event', event };
    }
    at = page.next;
    if (page.more) {
      if (live) yield { kind: 'fellBehind' };
      live = false;
      await nextTurn();
      continue;
    }
    if (page.deleted) {
      yield { kind: 'deleted' };
      return;
    }
    if (!live && !ended()) {
      live = true;
      yield { kind: 'caughtUp' };
    }
    // Looked at again in the same turn in which the wait begins, so that nothing falls in between.
    const { events, deleted } = reader.streamAfter(stream, at, 1, live);
    if (events.length === 0 && !deleted) await tail.changeOf(stream, signal);
  }
}

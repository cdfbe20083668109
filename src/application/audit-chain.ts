import { hash } from 'node:crypto';
import { CONVERSATION_STREAM_PREFIX } from '../domain/conversation/streams';
import { asEventId, type EventId } from '../kernel/ids';
import { canonicalJson } from '../kernel/json';
import type { LogEvent } from './ports/event-log';

/**
 * The audit chain (DESIGN.md section 3): every event of a conversation carries, as `hash` in its metadata,
 *
 *     SHA-256( previous event's hash ‖ canonical JSON of {at, conversationId, data, seq, type} )
 *
 * as 64 lower-case hex digits. The previous hash goes in as those digits in ASCII; before the first event
 * stand 64 zeros. The JSON is UTF-8 with sorted keys and no white space (kernel/json.ts, RFC 8785's order);
 * `at` is the metadata's ISO time, `data` the event as it was stored, before any upcaster. Whoever holds one
 * trusted hash can therefore tell whether anything before it was changed, left out, moved or put in.
 *
 * Not covered: ids and metadata that only help tracing (correlation, causation, traceparent), because two
 * nodes that are asked for the same thing at once may then agree on one event.
 *
 * `at` is the clock of the node that decided. It may run backwards from one event to the next, when nodes'
 * clocks differ or are set back: only `seq` orders events.
 */
export const CHAIN_START = '0'.repeat(64);

export interface ChainLink {
  readonly conversationId: string;
  readonly seq: number;
  /** ISO 8601, as in the metadata. */
  readonly at: string;
  readonly type: string;
  /** {@link canonicalJson} of the event's data: computed once by the writer, which also needs its size. */
  readonly data: string;
}

/** The hash of an event that follows one with the hash `previous`. */
export function chainHash(previous: string, { conversationId, seq, at, type, data }: ChainLink): string {
  // The keys stand in the order in which canonical JSON sorts them; the rest are plain ASCII texts.
  const text = `{"at":"${at}","conversationId":"${conversationId}","data":${data},"seq":${seq},"type":"${type}"}`;
  return hash('sha256', previous + text, 'hex');
}

const VARIANTS = ['8', '9', 'a', 'b'] as const;

/**
 * The event's id is its hash, cut to a UUIDv8 (RFC 9562 section 5.8). The store takes an append with known ids
 * at the same revision for a repetition and stores nothing; with an id that stands for the *whole* event that is
 * always true. An id made of the message's key alone would let the store confirm a second node's message with
 * another content or time, which was never stored.
 */
export function eventIdOf(chained: string): EventId {
  const variant = VARIANTS[parseInt(chained.charAt(16), 16) % VARIANTS.length] ?? '8';
  const parts = [
    chained.slice(0, 8),
    chained.slice(8, 12),
    `8${chained.slice(13, 16)}`,
    variant + chained.slice(17, 20),
    chained.slice(20, 32),
  ];
  return asEventId(parts.join('-'));
}

export type ChainVerdict =
  | { readonly kind: 'intact'; /** Of the last event; where a later check goes on. */ readonly hash: string }
  /** The first event that does not follow from those before it: it, or one before it, is not what was written. */
  | {
      readonly kind: 'broken';
      readonly seq: number;
      readonly expected: string;
      readonly found: string | undefined;
    };

/**
 * Follows the chain over adjacent events of one conversation's stream, oldest first.
 *
 * @param from the hash before the first of `events`, and that event's seq; default: the stream's beginning.
 */
export function verifyChain(
  events: Iterable<Pick<LogEvent, 'stream' | 'revision' | 'type' | 'data' | 'metadata'>>,
  from: { readonly hash: string; readonly seq: number } = { hash: CHAIN_START, seq: 0 },
): ChainVerdict {
  let { hash: previous, seq } = from;
  for (const { stream, revision, type, data, metadata } of events) {
    const { at, hash: found } = metadata as { at: string; hash?: string };
    const conversationId = stream.slice(CONVERSATION_STREAM_PREFIX.length);
    const expected = chainHash(previous, { conversationId, seq, at, type, data: canonicalJson(data) });
    if (Number(revision) !== seq || found !== expected) return { kind: 'broken', seq, expected, found };
    previous = found;
    seq++;
  }
  return { kind: 'intact', hash: previous };
}

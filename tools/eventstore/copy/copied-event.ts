import { uuidv5 } from '../../../src/kernel/uuid';
import type { Position } from '../../../src/kernel/position';

/** As in EventStoreDB; an event this near to it keeps its metadata as it is. */
export const APPEND_BYTES_MAX = 1_048_576;
/** In the metadata, ISO 8601: when the first store of all recorded the event. */
const RECORDED_AT = 'firstRecordedAt';
/** Stands at a revision whose event a scavenge took away, so that those after it keep theirs. */
export const GONE_TYPE = 'EventGone';
export const TOMBSTONE_TYPE = '$streamDeleted';
const METADATA_PREFIX = '$$';
/** Holds the identity of a log for the adapter; copied as an identity, not as a stream. */
export const EPOCH_STREAM = 'parley-epoch';
const GONE_NAMESPACE = '6d0a3c1e-7f0b-5c39-9a53-1f8f6f0f5d2c';

/** An event as bytes: nothing is parsed on the way that need not be. */
export interface CopiedEvent {
  readonly stream: string;
  readonly revision: bigint;
  readonly position: Position;
  readonly id: string;
  readonly type: string;
  readonly isJson: boolean;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly created: number;
}

/** Streams of users, and their metadata; what a server keeps for itself stays where it is. */
export const isCopied = (stream: string): boolean =>
  baseOf(stream) !== EPOCH_STREAM && !baseOf(stream).startsWith('$');

/** A stream and its metadata go one way, or a deletion and what comes after it would change places. */
export const baseOf = (stream: string): string =>
  stream.startsWith(METADATA_PREFIX) ? stream.slice(METADATA_PREFIX.length) : stream;

/**
 * The event as the target is to hold it: with the time at which it was first recorded, because a store gives every
 * event the time of the copy. Metadata that is no JSON object, and an event that would become too large for one
 * append, are left as they are; so are settings of streams, which a server reads.
 */
export function forTarget(event: CopiedEvent): CopiedEvent {
  const about = event.stream.startsWith(METADATA_PREFIX) ? undefined : objectOf(event.metadata);
  if (about === undefined || RECORDED_AT in about) return event;
  const field = `"${RECORDED_AT}":"${new Date(event.created).toISOString()}"`;
  const text = Buffer.from(event.metadata).toString('utf8').trimEnd();
  // Put in rather than written anew: numbers that JavaScript cannot hold stay what they are.
  const told = Object.keys(about).length === 0 ? `{${field}}` : `${text.slice(0, -1)},${field}}`;
  const metadata = Buffer.from(told);
  return event.data.length + metadata.length > APPEND_BYTES_MAX ? event : { ...event, metadata };
}

/** The same whoever makes it, so that a copy which is repeated makes the same. */
export function goneEvent(stream: string, revision: bigint): CopiedEvent {
  return {
    ...{ stream, revision, position: { commit: -1n, prepare: -1n }, created: 0 },
    id: uuidv5(`${stream}/${revision}`, GONE_NAMESPACE),
    ...{ type: GONE_TYPE, isJson: true, data: Buffer.from('{}'), metadata: Buffer.from('{}') },
  };
}

/** undefined: no JSON object; empty metadata counts as an empty one. */
function objectOf(bytes: Uint8Array): Record<string, unknown> | undefined {
  if (bytes.length === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

import { randomUUID } from 'node:crypto';
import { TOMBSTONE_TYPE, type RecordedEvent } from './record';
import type { RecentIds } from './recent-ids';
import { metadataStreamOf } from './stream-name';
import { isSoftDeleted, METADATA_TYPE, SOFT_DELETED_JSON, type StreamState } from './stream-state';
import { encodeEvent, type EncodedEvent, type Transaction } from './transaction';

/** A revision, or what else the writer knows of the stream. */
export type Expected = number | 'any' | 'noStream' | 'streamExists';

export type AppendOutcome =
  | {
      readonly kind: 'appended';
      /** Of the last event; of the stream's last event when nothing was to be appended (-1: no stream). */
      readonly revision: number;
      readonly position: number;
      /** The events were there already, from an earlier append of the same. */
      readonly repeated: boolean;
    }
  /** Nothing was written. `actual` is the stream's last revision; undefined: there is no stream. */
  | { readonly kind: 'wrongExpectedRevision'; readonly actual: number | undefined }
  /** The stream has a tombstone. */
  | { readonly kind: 'streamDeleted' };

/** What a decision may look at beside the transaction. */
export interface Knowledge {
  readonly recent: RecentIds;
  /** A stored event of an earlier transaction. */
  readonly read: (position: number) => RecordedEvent | undefined;
}

/**
 * Expected revision and idempotency, as EventStoreDB decides them: a number below the head succeeds when the
 * very same events stand after it, and `any` when they are among the recent ones of the store.
 */
export function decideAppend(
  transaction: Transaction,
  knowledge: Knowledge,
  stream: string,
  events: readonly EncodedEvent[],
  expected: Expected,
): AppendOutcome {
  const state = transaction.find(stream);
  if (state?.tombstone !== undefined) return { kind: 'streamDeleted' };
  const head = state?.head ?? -1;
  const there = state !== undefined && head >= 0 && !isSoftDeleted(state);
  if (expected === 'any' || expected === 'streamExists') {
    if (expected === 'streamExists' && !there) return refused(there, head);
    const repeat = repeatedRecently(transaction, knowledge, stream, events);
    if (repeat !== undefined) return repeat === 'in part' ? refused(there, head) : repeat;
    return append(transaction, state, events);
  }
  const after = expected === 'noStream' ? -1 : expected;
  // A deleted stream begins again, at the revision after its last one.
  if (after === head || (after === -1 && state !== undefined && isSoftDeleted(state))) {
    return append(transaction, state, events);
  }
  if (after > head || state === undefined) return refused(there, head);
  return repeatedAt(transaction, knowledge, state, after, events) ?? refused(there, head);
}

/** Soft: the stream counts as not there, and the next append begins it again where it ended. */
export function decideDelete(transaction: Transaction, stream: string, expected: Expected): AppendOutcome {
  const state = transaction.find(stream);
  if (state?.tombstone !== undefined) return { kind: 'streamDeleted' };
  // One with neither events nor settings has nothing that could be deleted, whatever was expected of it.
  const settings = transaction.find(metadataStreamOf(stream));
  if ((state?.head ?? -1) < 0 && (settings?.head ?? -1) < 0) return refused(false, -1);
  const mismatch = mismatched(state, expected);
  if (mismatch !== undefined) return mismatch;
  const metadata = encodeMetadata(stream, `{"$tb":${SOFT_DELETED_JSON}}`);
  return appended(transaction.append(metadata));
}

/** For ever: reads and appends are refused from then on, and scavenging removes the events. */
export function decideTombstone(transaction: Transaction, stream: string, expected: Expected): AppendOutcome {
  const state = transaction.find(stream);
  if (state?.tombstone !== undefined) return { kind: 'streamDeleted' };
  const mismatch = mismatched(state, expected);
  if (mismatch !== undefined) return mismatch;
  const event = { id: randomUUID(), type: TOMBSTONE_TYPE, isJson: true, data: '{}', metadata: '' };
  return appended(transaction.appendTombstone(encodeEvent(stream, event)));
}

function append(
  transaction: Transaction,
  state: StreamState | undefined,
  events: readonly EncodedEvent[],
): AppendOutcome {
  if (events.length === 0) {
    return { kind: 'appended', revision: state?.head ?? -1, position: transaction.next - 1, repeated: false };
  }
  if (state !== undefined && isSoftDeleted(state)) {
    const begin = `{"$tb":${state.head + 1}}`;
    transaction.append(encodeMetadata(state.name, begin));
  }
  let recorded: RecordedEvent | undefined;
  for (const event of events) recorded = transaction.append(event);
  return appended(recorded as RecordedEvent);
}

const encodeMetadata = (stream: string, data: string): EncodedEvent =>
  encodeEvent(metadataStreamOf(stream), {
    id: randomUUID(),
    type: METADATA_TYPE,
    isJson: true,
    data,
    metadata: '',
  });

const appended = ({ revision, position }: RecordedEvent): AppendOutcome => ({
  kind: 'appended',
  revision,
  position,
  repeated: false,
});

const refused = (there: boolean, head: number): AppendOutcome => ({
  kind: 'wrongExpectedRevision',
  actual: there ? head : undefined,
});

function mismatched(state: StreamState | undefined, expected: Expected): AppendOutcome | undefined {
  const head = state?.head ?? -1;
  const there = state !== undefined && head >= 0 && !isSoftDeleted(state);
  switch (expected) {
    case 'any':
      return undefined;
    case 'streamExists':
      return there ? undefined : refused(there, head);
    case 'noStream':
      return there ? refused(there, head) : undefined;
    default:
      return there && head === expected ? undefined : refused(there, head);
  }
}

/** @returns undefined: the first of the events is not known, so this is no repetition */
function repeatedRecently(
  transaction: Transaction,
  { recent, read }: Knowledge,
  stream: string,
  events: readonly EncodedEvent[],
): AppendOutcome | 'in part' | undefined {
  const places = events.map(({ event }) => {
    const id = event.id.toLowerCase();
    const position = recent.find(id);
    const recorded = transaction.withId(id) ?? (position === undefined ? undefined : read(position));
    return recorded?.stream === stream ? recorded : undefined;
  });
  const [first, last] = [places[0], places.at(-1)];
  if (first === undefined) return undefined;
  const whole = places.every((place, n) => place?.revision === first.revision + n);
  if (!whole || last === undefined) return 'in part';
  return { kind: 'appended', revision: last.revision, position: last.position, repeated: true };
}

function repeatedAt(
  transaction: Transaction,
  knowledge: Knowledge,
  state: StreamState,
  after: number,
  events: readonly EncodedEvent[],
): AppendOutcome | undefined {
  let position = transaction.next - 1;
  for (const [n, { event }] of events.entries()) {
    const found = transaction.positionOf(state, after + 1 + n);
    if (found === undefined) return undefined;
    const stored = transaction.at(found) ?? knowledge.read(found);
    if (stored?.id !== event.id.toLowerCase()) return undefined;
    position = found;
  }
  return { kind: 'appended', revision: after + events.length, position, repeated: true };
}

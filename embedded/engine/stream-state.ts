import { EngineError } from './errors';
import type { RecordedEvent } from './record';
import { isLongName, isMetadataStream } from './stream-name';

export const METADATA_TYPE = '$metadata';
/**
 * `$tb` of a stream that is deleted but may be written to again: 2^63 - 1, which JSON numbers only approach.
 */
export const SOFT_DELETED_JSON = '9223372036854775807';

/** How much of a stream is readable, as its metadata says. */
export interface StreamSettings {
  /** `$maxCount`: only the last so many events. */
  readonly maxCount?: number;
  /** `$maxAge`, in milliseconds (seconds in the metadata): only events younger than that. */
  readonly maxAgeMs?: number;
  /** `$tb`: only events from this revision on; Infinity: none, the stream counts as not there. */
  readonly truncateBefore?: number;
}

/** What is known of one stream; revisions and settings include what is being written just now. */
export interface StreamState {
  readonly name: string;
  /** Short name in the index. */
  readonly id: number;
  /** Revision of the last event; -1 when it has none. */
  head: number;
  settings: StreamSettings;
  /** Position of the tombstone; the stream can never be written to again. */
  tombstone: number | undefined;
  /** Places of the last events, which are not in the index yet. */
  readonly unindexed: number[];
  /** Id and settings differ from what is stored. */
  rowChanged: boolean;
  /** Position of the oldest record that the stored tables do not yet account for. */
  dirtySince: number | undefined;
}

/** Settings of a metadata event. What is no valid setting is no setting, as in EventStoreDB. */
export function settingsOf(event: RecordedEvent): StreamSettings {
  const value = event.dataJson;
  if (typeof value !== 'object' || value === null) return {};
  const json = value as Readonly<Record<string, unknown>>;
  const [maxCount, maxAge, before] = [json['$maxCount'], json['$maxAge'], json['$tb']];
  return {
    ...(isCount(maxCount) && maxCount > 0 ? { maxCount } : {}),
    ...(isCount(maxAge) && maxAge > 0 ? { maxAgeMs: maxAge * 1_000 } : {}),
    ...(isCount(before) ? { truncateBefore: Number.isSafeInteger(before) ? before : Infinity } : {}),
  };
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0;

export const isSoftDeleted = (state: StreamState): boolean => state.settings.truncateBefore === Infinity;

/**
 * The oldest revision that may be read, by count and truncation; age is judged by each event's own time.
 * Above `head` when nothing is readable.
 */
export function firstByCount(state: StreamState, head: number): number {
  // Of settings only the last ones count.
  const maxCount = isMetadataStream(state.name) ? 1 : (state.settings.maxCount ?? Infinity);
  const before = state.settings.truncateBefore ?? 0;
  return Math.max(0, Math.min(before, head + 1), head + 1 - maxCount);
}

interface Row {
  readonly id: number;
  /** Of a stream that is found by the hash of its name. */
  readonly name?: string;
  readonly maxCount?: number;
  readonly maxAgeMs?: number;
  /** `deleted`: Infinity, which JSON does not have. */
  readonly truncateBefore?: number | 'deleted';
  readonly tombstone?: number;
}

export function encodeRow({ id, name, settings, tombstone }: StreamState): Buffer {
  const { truncateBefore, ...others } = settings;
  const before = truncateBefore === Infinity ? 'deleted' : truncateBefore;
  const row: Row = {
    id,
    ...(isLongName(name) ? { name } : {}),
    ...others,
    ...(before === undefined ? {} : { truncateBefore: before }),
    ...(tombstone === undefined ? {} : { tombstone }),
  };
  return Buffer.from(JSON.stringify(row));
}

/** @param stream whose row was looked for. @throws EngineError `corrupt` when it is another's */
export function decodeRow(stream: string, bytes: Buffer): Pick<StreamState, 'id' | 'settings' | 'tombstone'> {
  const { id, name, tombstone, truncateBefore, ...others } = JSON.parse(bytes.toString()) as Row;
  if (name !== undefined && name !== stream)
    throw new EngineError('corrupt', 'two streams are found by one hash');
  const before = truncateBefore === 'deleted' ? Infinity : truncateBefore;
  return {
    id,
    tombstone,
    settings: { ...others, ...(before === undefined ? {} : { truncateBefore: before }) },
  };
}

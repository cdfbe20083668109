import { acquireInstanceLock } from '../instance-lock';
import { checkDataFile } from './data-file';
import { EngineError } from './errors';
import { TOMBSTONE_TYPE, type RecordedEvent } from './record';
import { Storage } from './storage';
import { metadataStreamOf, streamKey } from './stream-name';
import { decodeRow, METADATA_TYPE, settingsOf, type StreamState } from './stream-state';

/** Records looked at between two reports of how far one is. */
const PAGE_RECORDS = 4_096;
/** That are written out; the rest is counted. */
export const DISAGREEMENTS_SHOWN_MAX = 20;

export interface StoreContent {
  /** That are there; scavenged ones are not. */
  readonly events: number;
  /** Position of the last one; -1: none. */
  readonly head: number;
  readonly epoch: string;
}

export type OnChecked = (done: number, total: number) => void;

type Row = Pick<StreamState, 'id' | 'settings' | 'tombstone'>;

/**
 * Reads a store that nobody has open from end to end: the file's structure, every record's check sum, and whether the
 * index and the streams' rows, which have none, say what the records say and nothing else.
 *
 * @throws EngineError `corrupt`, naming what is damaged; InstanceRunning
 */
export async function checkStore(path: string, onChecked: OnChecked): Promise<StoreContent> {
  const lock = await acquireInstanceLock(path);
  try {
    return await checkLocked(path, onChecked);
  } finally {
    await lock.release();
  }
}

/** The same, for whoever holds the folder's lock. */
export async function checkLocked(path: string, onChecked: OnChecked): Promise<StoreContent> {
  checkDataFile(path, 'everything');
  const storage = Storage.open(path, { readOnly: true });
  try {
    return new Check(storage).run(onChecked);
  } finally {
    await storage.close();
  }
}

class Check {
  private readonly shown: string[] = [];
  private disagreements = 0;
  /** Entries of the index that are those of a record. */
  private matched = 0;
  /** What came after is in the index in part: it is made from the records at the next start. */
  private readonly accountedBefore: number;
  /** Of settings that the rows may have taken into account, or not yet, by the stream that they are for. */
  private readonly later = new Map<string, RecordedEvent[]>();

  constructor(private readonly storage: Storage) {
    this.accountedBefore = Number(storage.metaValue('accountedBefore') ?? 0);
  }

  run(onChecked: OnChecked): StoreContent {
    const head = this.storage.lastPosition();
    let events = 0;
    for (let next = 0; next <= head;) {
      let last = next - 1;
      for (const event of this.storage.records(next, head, PAGE_RECORDS)) {
        events++;
        last = event.position;
        this.checkRecord(event);
      }
      if (last < next) break;
      next = last + 1;
      onChecked(next, head + 1);
    }
    if (this.storage.indexCount() !== this.matched) this.checkEntries();
    this.checkRows();
    if (this.disagreements > 0) throw this.failure();
    return { events, head, epoch: this.storage.epoch };
  }

  private checkRecord(event: RecordedEvent): void {
    const { stream, type, revision, position } = event;
    const isAccounted = position < this.accountedBefore;
    const row = this.rowOf(stream);
    if (type === METADATA_TYPE && !isAccounted)
      this.later.set(stream, [...(this.later.get(stream) ?? []), event]);
    if (type === TOMBSTONE_TYPE) {
      if (isAccounted && row?.tombstone !== position)
        this.report(`the tombstone at position ${position} is not in its stream's row`);
      return;
    }
    const [entry] = row === undefined ? [] : this.storage.indexEntries(row.id, revision, revision);
    if (entry?.position === position) this.matched++;
    else if (entry !== undefined || isAccounted)
      this.report(`the index does not find the record at position ${position}`);
  }

  /** Only when there are more of them than records, or fewer: to say which. */
  private checkEntries(): void {
    const found = this.disagreements;
    for (const { streamId, revision, position } of this.storage.allIndexEntries()) {
      const record = this.storage.record(position);
      const isIts = record?.revision === revision && this.rowOf(record.stream)?.id === streamId;
      if (!isIts)
        this.report(
          `the index has revision ${revision} of stream ${streamId} at position ${position}, and the record there is another or none`,
        );
    }
    if (this.disagreements === found)
      this.report(`the index has ${this.storage.indexCount()} entries for ${this.matched} records`);
  }

  private checkRows(): void {
    const ids = Number(this.storage.metaValue('nextStreamId') ?? 0);
    const taken = new Uint8Array(Math.ceil(ids / 8));
    for (const { key, value } of this.storage.allStreams()) {
      const stream = nameIn(key, value);
      const row = stream === undefined ? undefined : this.rowOf(stream);
      if (stream === undefined || row === undefined || !streamKey(stream).equals(key)) {
        this.report(`a stream's row is unreadable: ${value.toString('latin1', 0, 60)}`);
        continue;
      }
      const [byte, bit] = [row.id >>> 3, 1 << (row.id & 7)];
      if (!(row.id < ids) || ((taken[byte] ?? 0) & bit) !== 0)
        this.report(`the stream ${stream} has the number of another, or one that was never given`);
      taken[byte] = (taken[byte] ?? 0) | bit;
      this.checkRow(stream, row);
    }
  }

  private checkRow(stream: string, row: Row): void {
    const { tombstone } = row;
    const end = tombstone === undefined ? undefined : this.storage.record(tombstone);
    if (tombstone !== undefined && (end?.type !== TOMBSTONE_TYPE || end.stream !== stream))
      this.report(`the stream ${stream} ends with a tombstone that is not there`);
    const candidates = this.settingsOf(stream);
    if (candidates === undefined) return;
    if (!candidates.some((settings) => isEqual(settings, row.settings)))
      this.report(`the stream ${stream} has settings in its row that are not those of its metadata`);
  }

  /** Settings that the row may have; undefined: somebody wrote something else over them, so nothing is known. */
  private settingsOf(stream: string): readonly Row['settings'][] | undefined {
    const name = metadataStreamOf(stream);
    const later = this.later.get(name) ?? [];
    const row = this.rowOf(name);
    let before: RecordedEvent | undefined;
    for (
      let at = row === undefined ? -1 : this.storage.lastRevision(row.id);
      row !== undefined && at >= 0;
      at--
    ) {
      const [entry] = this.storage.indexEntries(row.id, at, at);
      before = entry === undefined ? undefined : this.storage.record(entry.position);
      if (before === undefined || before.position < this.accountedBefore) break;
      before = undefined;
    }
    if (before !== undefined && before.type !== METADATA_TYPE) return undefined;
    return [before === undefined ? {} : settingsOf(before), ...later.map(settingsOf)];
  }

  private rowOf(stream: string): Row | undefined {
    const row = this.storage.stream(stream);
    try {
      return row === undefined ? undefined : decodeRow(stream, row);
    } catch {
      return undefined;
    }
  }

  private report(what: string): void {
    if (++this.disagreements <= DISAGREEMENTS_SHOWN_MAX) this.shown.push(what);
  }

  private failure(): EngineError {
    const { disagreements, shown } = this;
    const more = disagreements > shown.length ? `; and ${disagreements - shown.length} more` : '';
    return new EngineError(
      'corrupt',
      `${shown.join('; ')}${more}. The records are whole: \`npm run eventstore -- repair\` makes the rest from them`,
    );
  }
}

/** undefined: the row is no JSON. */
function nameIn(key: Buffer, row: Buffer): string | undefined {
  try {
    return (JSON.parse(row.toString()) as { readonly name?: string }).name ?? key.toString();
  } catch {
    return undefined;
  }
}

const isEqual = (one: Row['settings'], other: Row['settings']): boolean =>
  one.maxCount === other.maxCount &&
  one.maxAgeMs === other.maxAgeMs &&
  one.truncateBefore === other.truncateBefore;

import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { open, type Database, type RootDatabase } from 'lmdb';
import { EngineError } from './errors';
import { checkRecord, RecordedEvent, streamBytesOf } from './record';
import { KEY_NAME_BYTES_MAX, streamKey } from './stream-name';

/** Raised when an older program could no longer read what is written. */
const FORMAT_VERSION = 3;
/** Of stores without a long name of a stream, which the program before could read. */
const FORMAT_WITHOUT_LONG_NAMES = 2;
const INTEGER_BYTES = 6;
const POSITION_BYTES = 8;
const STREAM_ID_BYTES = 4;
const REVISION_MAX = 2 ** 48 - 1;
export const STREAM_ID_MAX = 2 ** 32 - 1;

/**
 * Address space, not disk: the file grows as it is written. Beyond it the library maps anew, which takes
 * time.
 */
const MAP_BYTES = 2 ** 36;

type Table = Database<Buffer, Buffer>;

/** The library takes the options of `putSync` here too; its types do not say so. */
interface AppendingTable {
  put(key: Buffer, value: Buffer, options: { readonly append: true }): Promise<boolean>;
}

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

/** A revision of a stream that is in the index, with its place in the log. */
export interface IndexEntry {
  readonly revision: number;
  readonly position: number;
}

/** What changes in one transaction; the methods may be called only inside {@link Storage.commit}. */
interface StorageWrites {
  /** Positions only rise. */
  appendRecord(position: number, record: Buffer): void;
  removeRecord(position: number): void;
  putIndex(streamId: number, revision: number, position: number): void;
  removeIndex(streamId: number, revision: number): void;
  putStream(name: string, row: Buffer): void;
  putMeta(key: string, value: unknown): void;
}

/**
 * The four tables of a store in LMDB: the log (position → record), the streams by name, the index (stream,
 * revision → position) and a few facts about the store itself.
 *
 * Opened without overlapping sync: LMDB then flushes the pages of a transaction to the disk, and after them
 * the page that makes it valid, before the commit is reported and before any reader sees it. With overlapping
 * sync (the library's default) a commit is reported before it is on the disk.
 */
export class Storage implements StorageWrites {
  private currentEpoch: string;
  /** Of the positions; a copy of the file has the same, whatever its epoch. */
  readonly numbering: string;
  private readonly log: Table;
  private readonly streams: Table;
  private readonly index: Table;
  private readonly meta: Table;
  private appending: Promise<boolean>[] = [];
  private format = 0;
  private nextFormat = 0;

  private constructor(
    private readonly environment: RootDatabase<Buffer, Buffer>,
    readOnly: boolean,
  ) {
    const table = (name: string): Table => environment.openDB<Buffer, Buffer>(name, BINARY);
    this.log = table('log');
    this.streams = table('streams');
    this.index = table('index');
    this.meta = table('meta');
    this.currentEpoch = this.establish(readOnly);
    // A store that was made before there was this word has none: it does not need to be told from itself.
    const numbering = this.metaValue('numbering');
    this.numbering = typeof numbering === 'string' ? numbering : 'first';
  }

  /** @throws EngineError `newerFormat` */
  static open(path: string, { readOnly = false }: { readonly readOnly?: boolean } = {}): Storage {
    const environment = open<Buffer, Buffer>({
      path,
      readOnly,
      // Also when there is a dot in the folder's name.
      noSubdir: false,
      mapSize: MAP_BYTES,
      maxDbs: 8,
      overlappingSync: false,
      // The engine gathers appends itself and knows best when a batch is complete.
      eventTurnBatching: false,
      noMemInit: true,
      ...BINARY,
    });
    try {
      return new Storage(environment, readOnly);
    } catch (error) {
      void environment.close();
      throw error;
    }
  }

  /**
   * Writes in one transaction; resolves when it is on the disk. When it rejects, with whatever the system
   * says,
   * the transaction is in the log wholly or not at all: look at {@link lastPosition}.
   */
  async commit(write: () => void): Promise<void> {
    this.appending = [];
    this.nextFormat = this.format;
    try {
      const done = this.environment.batch(write);
      // An append out of order is refused without an error; nobody may be told that it is stored.
      if ((await Promise.all([done, ...this.appending])).includes(false)) {
        throw new Error('a record was to be stored before the end of the log');
      }
      this.format = this.nextFormat;
    } catch (error) {
      throw await reasonOf(error);
    }
  }

  get epoch(): string {
    return this.currentEpoch;
  }

  /** Resolves when it is on the disk. */
  async setEpoch(epoch: string): Promise<void> {
    await this.commit(() => {
      this.putMeta('epoch', epoch);
    });
    this.currentEpoch = epoch;
  }

  /** Becomes the same log to everybody; for a store without events. Resolves when it is on the disk. */
  async takeIdentity(of: Storage): Promise<void> {
    await this.commit(() => {
      this.putMeta('epoch', of.epoch);
      this.putMeta('numbering', of.numbering);
    });
    this.currentEpoch = of.epoch;
  }

  /** Copies the store as it is at this moment to a folder; others go on reading and writing meanwhile. */
  async backup(path: string): Promise<void> {
    await this.environment.backup(path, false);
  }

  async close(): Promise<void> {
    await this.environment.close();
  }

  appendRecord(position: number, record: Buffer): void {
    // Fills pages wholly, where inserting would split them into halves.
    const log = this.log as unknown as AppendingTable;
    this.appending.push(log.put(positionKey(position), record, { append: true }));
    if (this.nextFormat < FORMAT_VERSION && streamBytesOf(record) > KEY_NAME_BYTES_MAX) {
      this.nextFormat = FORMAT_VERSION;
      this.putMeta('format', FORMAT_VERSION);
    }
  }

  removeRecord(position: number): void {
    void this.log.remove(positionKey(position));
  }

  putIndex(streamId: number, revision: number, position: number): void {
    void this.index.put(indexKey(streamId, revision), positionKey(position));
  }

  removeIndex(streamId: number, revision: number): void {
    void this.index.remove(indexKey(streamId, revision));
  }

  putStream(name: string, row: Buffer): void {
    void this.streams.put(streamKey(name), row);
  }

  putMeta(key: string, value: unknown): void {
    const json = JSON.stringify(value);
    void this.meta.put(Buffer.from(key), Buffer.from(key === 'format' ? json : `${json}\n${sumOf(json)}`));
  }

  /** What another thread has committed is seen from now on; without it, reads may go on in an older snapshot. */
  refresh(): void {
    this.environment.resetReadTxn();
  }

  /** Position of the last record; -1 when there is none. */
  lastPosition(): number {
    for (const key of this.log.getKeys({ reverse: true, limit: 1 })) return positionOf(key);
    return -1;
  }

  /** undefined: scavenged, or never there. @throws EngineError `corrupt` */
  record(position: number): RecordedEvent | undefined {
    const record = this.log.getBinary(positionKey(position));
    return record === undefined ? undefined : recorded(position, record);
  }

  /** Forwards from `first` to `last`, both included. @throws EngineError `corrupt` */
  *records(first: number, last: number, limit: number): Generator<RecordedEvent> {
    if (first > last) return;
    const range = { start: positionKey(first), end: positionKey(last + 1), limit };
    for (const { key, value } of this.log.getRange(range)) yield recorded(positionOf(key), value);
  }

  /** Backwards from `last` to `first`, both included. @throws EngineError `corrupt` */
  *recordsBackwards(last: number, first: number, limit: number): Generator<RecordedEvent> {
    if (first > last) return;
    const bound = first === 0 ? {} : { end: positionKey(first - 1) };
    const range = { start: positionKey(last), ...bound, limit, reverse: true };
    for (const { key, value } of this.log.getRange(range)) yield recorded(positionOf(key), value);
  }

  stream(name: string): Buffer | undefined {
    return this.streams.getBinary(streamKey(name));
  }

  /** Revision of the stream's last event in the index; -1 when there is none. */
  lastRevision(streamId: number): number {
    const range = {
      start: indexKey(streamId, REVISION_MAX),
      end: indexKey(streamId, 0),
      limit: 1,
      reverse: true,
    };
    for (const key of this.index.getKeys(range)) return revisionOf(key);
    return this.index.getBinary(indexKey(streamId, 0)) === undefined ? -1 : 0;
  }

  /** Forwards from revision `first` to `last`, both included. */
  indexEntries(streamId: number, first: number, last: number): readonly IndexEntry[] {
    if (first > last) return [];
    const range = { start: indexKey(streamId, first), end: indexKey(streamId, last + 1) };
    const entries: IndexEntry[] = [];
    for (const { key, value } of this.index.getRange(range)) {
      entries.push({ revision: revisionOf(key), position: positionOf(value) });
    }
    return entries;
  }

  indexCount(): number {
    return entryCountOf(this.index);
  }

  /** The whole index, by streams. */
  *allIndexEntries(): Generator<IndexEntry & { readonly streamId: number }> {
    for (const { key, value } of this.index.getRange({})) {
      yield { streamId: key.readUInt32BE(0), revision: revisionOf(key), position: positionOf(value) };
    }
  }

  /** The rows of all streams, by their keys. */
  *allStreams(): Generator<{ readonly key: Buffer; readonly value: Buffer }> {
    for (const { key, value } of this.streams.getRange({}))
      yield { key: Buffer.from(key), value: Buffer.from(value) };
  }

  /** @throws EngineError `corrupt` */
  metaValue(key: string): unknown {
    const value = this.meta.getBinary(Buffer.from(key));
    if (value === undefined) return undefined;
    const [json = '', sum] = value.toString().split('\n');
    // The first format had no sums; the format itself has none, for older programs to read it.
    if (sum !== undefined && sum !== sumOf(json)) {
      throw new EngineError('corrupt', `what the event store says of itself (${key}) is damaged`);
    }
    return JSON.parse(json);
  }

  private establish(readOnly: boolean): string {
    const format = this.metaValue('format');
    if (format === undefined) {
      const epoch: string = randomUUID();
      this.environment.transactionSync(() => {
        this.putMeta('format', FORMAT_WITHOUT_LONG_NAMES);
        this.putMeta('epoch', epoch);
        this.putMeta('numbering', randomUUID());
      });
      this.format = FORMAT_WITHOUT_LONG_NAMES;
      return epoch;
    }
    if (typeof format !== 'number' || format > FORMAT_VERSION) {
      const message = `the event store has format ${JSON.stringify(format)}, this program knows up to ${FORMAT_VERSION}`;
      throw new EngineError('newerFormat', message);
    }
    const epoch = String(this.metaValue('epoch'));
    this.format = Math.max(format, FORMAT_WITHOUT_LONG_NAMES);
    if (format < this.format && !readOnly) {
      this.environment.transactionSync(() => {
        this.putMeta('format', this.format);
      });
    }
    return epoch;
  }
}

/** The library's types do not say what its statistics are. */
const entryCountOf = (table: Table): number => (table.getStats() as { entryCount: number }).entryCount;

const sumOf = (json: string): string => crc32(json).toString(16);

function recorded(position: number, record: Buffer): RecordedEvent {
  checkRecord(record, position);
  return new RecordedEvent(position, record);
}

/** The library rejects with a wrapper whose `commitError` rejects, later, with the reason. */
async function reasonOf(error: unknown): Promise<unknown> {
  const wrapped: unknown = error instanceof Error && 'commitError' in error ? error.commitError : undefined;
  return Promise.resolve(wrapped).then(
    () => error,
    (reason: unknown) => reason,
  );
}

function positionKey(position: number): Buffer {
  const key = Buffer.allocUnsafe(POSITION_BYTES);
  key.writeUInt32BE(Math.floor(position / 2 ** 32), 0);
  key.writeUInt32BE(position % 2 ** 32, 4);
  return key;
}

const positionOf = (key: Buffer): number => key.readUInt32BE(0) * 2 ** 32 + key.readUInt32BE(4);

function indexKey(streamId: number, revision: number): Buffer {
  const key = Buffer.allocUnsafe(STREAM_ID_BYTES + INTEGER_BYTES);
  key.writeUInt32BE(streamId, 0);
  key.writeUIntBE(revision, STREAM_ID_BYTES, INTEGER_BYTES);
  return key;
}

const revisionOf = (key: Buffer): number => key.readUIntBE(STREAM_ID_BYTES, INTEGER_BYTES);

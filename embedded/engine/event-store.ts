import { mkdir } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { SystemClock, type Clock } from '../../src/kernel/clock';
import { acquireInstanceLock, type InstanceLock } from '../instance-lock';
import {
  decideAppend,
  decideDelete,
  decideTombstone,
  type AppendOutcome,
  type Expected,
  type Knowledge,
} from './decisions';
import { EngineError } from './errors';
import { LiveTail } from './live-tail';
import { Reader, type LogPage, type LogReadOptions, type StreamPage, type StreamReadOptions } from './reader';
import { RecentIds } from './recent-ids';
import { payloadBytes, type EngineEvent } from './record';
import { scavenge, type ScavengeResult } from './scavenger';
import { explained, openSound } from './open-sound';
import type { Storage } from './storage';
import { StreamIndex, UNINDEXED_EVENTS_MAX } from './stream-index';
import { checkStreamName, metadataStreamOf } from './stream-name';
import { METADATA_TYPE } from './stream-state';
import {
  subscribeToStream,
  type StreamSubscribeOptions,
  type StreamSubscriptionItem,
} from './stream-subscription';
import { subscribeToLog, type SubscribeOptions, type SubscriptionItem } from './subscription';
import { encodeEvent, type Transaction } from './transaction';
import { Writer } from './writer';

/** Bytes of data and metadata in one append, as in EventStoreDB. */
const APPEND_BYTES_MAX = 1_048_576;
/** Read at the start, so that a repetition is recognised over a restart. */
const WARM_IDS_MAX = 10_000;

export interface OpenOptions {
  /** Folder of this store alone; made when missing. */
  readonly path: string;
  readonly appendBytesMax?: number;
  /** Events whose index entries may wait in memory, to be made again after a crash. */
  readonly unindexedEventsMax?: number;
  readonly clock?: Clock;
}

/**
 * An event store in this process, on LMDB, with EventStoreDB's rules: for development, tests and small
 * installations. One process at a time has it open; streams and events are as many as the disk holds.
 *
 * All methods reject with an {@link EngineError}, whose `kind` says what may be done about it.
 */
export class EmbeddedEventStore {
  private readonly knowledge: Knowledge;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly lock: InstanceLock,
    private readonly storage: Storage,
    private readonly index: StreamIndex,
    private readonly tail: LiveTail,
    private readonly reader: Reader,
    private readonly writer: Writer,
    recent: RecentIds,
    private readonly appendBytesMax: number,
  ) {
    this.knowledge = { recent, read: (position) => storage.record(position) };
  }

  /**
   * Opens the store, or makes it. Takes the same time however long the log is.
   * @throws EngineError `newerFormat`, `corrupt`; InstanceRunning when another process has it open
   */
  static async open(options: OpenOptions): Promise<EmbeddedEventStore> {
    await mkdir(options.path, { recursive: true });
    const lock = await acquireInstanceLock(options.path);
    let storage: Storage | undefined;
    try {
      const clock = options.clock ?? new SystemClock();
      const now = (): number => clock.now();
      storage = openSound(options.path);
      const index = new StreamIndex(storage, options.unindexedEventsMax ?? UNINDEXED_EVENTS_MAX);
      const tail = new LiveTail(index.restore());
      const recent = new RecentIds();
      const warm = [...storage.recordsBackwards(tail.last, 0, WARM_IDS_MAX)];
      for (const event of warm.reverse()) recent.add(event);
      const reader = new Reader(storage, index, tail, now);
      const writer = new Writer(storage, index, tail, recent, now);
      const limit = options.appendBytesMax ?? APPEND_BYTES_MAX;
      return new EmbeddedEventStore(lock, storage, index, tail, reader, writer, recent, limit);
    } catch (error) {
      await storage?.close();
      await lock.release();
      throw explained(error);
    }
  }

  /** Identity of this log; another one after an older copy was put in its place, see {@link setEpoch}. */
  get epoch(): string {
    return this.storage.epoch;
  }

  /** Identity of this store's positions; the same in a backup, another one in a store that events were copied into. */
  get numbering(): string {
    return this.storage.numbering;
  }

  /** Position of the last event; -1 when there is none. */
  get head(): number {
    return this.tail.last;
  }

  /** All of the events or none, at adjacent revisions; resolves when they are on the disk. */
  async append(stream: string, events: readonly EngineEvent[], expected: Expected): Promise<AppendOutcome> {
    this.assertOpen();
    checkStreamName(stream);
    checkExpected(expected);
    const bytes = events.reduce((sum, event) => sum + payloadBytes(event), 0);
    if (bytes > this.appendBytesMax) {
      throw new EngineError('tooLarge', `an append has at most ${this.appendBytesMax} bytes, not ${bytes}`);
    }
    const encoded = events.map((event) => encodeEvent(stream, event));
    return this.writer.submit({
      events: events.length,
      bytes,
      decide: (transaction) => decideAppend(transaction, this.knowledge, stream, encoded, expected),
    });
  }

  async readStream(stream: string, options: StreamReadOptions): Promise<StreamPage> {
    await this.turn();
    checkStreamName(stream);
    return this.reader.stream(stream, options);
  }

  async readAll(options: LogReadOptions): Promise<LogPage> {
    await this.turn();
    return this.reader.log(options);
  }

  subscribeToAll(options: SubscribeOptions): AsyncGenerator<SubscriptionItem, void, undefined> {
    return subscribeToLog(this.reader, this.tail, options);
  }

  /** Every event of one stream after a revision, stored and then live; the stream need not exist yet. */
  subscribeToStream(
    stream: string,
    options: StreamSubscribeOptions,
  ): AsyncGenerator<StreamSubscriptionItem, void, undefined> {
    checkStreamName(stream);
    return subscribeToStream(this.reader, this.tail, stream, options);
  }

  /** Calls `listener` with the head whenever it has moved, events on the disk. @returns what ends it */
  onGrowth(listener: (head: number) => void): () => void {
    return this.tail.watch(listener);
  }

  /** Replaces a stream's metadata, the JSON that EventStoreDB keeps in `$$<stream>`. */
  async setStreamMetadata(stream: string, metadata: object, expected: Expected): Promise<AppendOutcome> {
    const data = JSON.stringify(metadata);
    const event = { id: randomUUID(), type: METADATA_TYPE, isJson: true, data, metadata: '' };
    checkStreamName(stream);
    return this.append(metadataStreamOf(stream), [event], expected);
  }

  /** The stream's metadata and the revision to expect when replacing it; undefined when it has none. */
  async streamMetadata(
    stream: string,
  ): Promise<{ readonly metadata: unknown; readonly revision: number } | undefined> {
    const page = await this.readStream(metadataStreamOf(stream), { direction: 'backwards', limit: 1 });
    const event = page.kind === 'events' ? page.events[0] : undefined;
    return event === undefined ? undefined : { metadata: event.dataJson, revision: event.revision };
  }

  /** The stream counts as not there; an append begins it again, after its last revision. */
  async deleteStream(stream: string, expected: Expected): Promise<AppendOutcome> {
    return this.decide(stream, expected, decideDelete);
  }

  /** The stream can never be read or written again. */
  async tombstoneStream(stream: string, expected: Expected): Promise<AppendOutcome> {
    return this.decide(stream, expected, decideTombstone);
  }

  /** The log is another one than those who knew it think, or the very one that they knew; durable when it resolves. */
  async setEpoch(epoch: string): Promise<void> {
    await this.turn();
    await this.storage.setEpoch(epoch);
  }

  async scavenge(signal?: AbortSignal): Promise<ScavengeResult> {
    await this.turn();
    return scavenge(this.storage, this.index, this.reader, signal);
  }

  /** Ends subscriptions, waits for appends under way, gives the folder free. Twice is harmless. */
  async close(): Promise<void> {
    this.closing ??= this.shutDown();
    await this.closing;
  }

  private async decide(
    stream: string,
    expected: Expected,
    rule: (transaction: Transaction, stream: string, expected: Expected) => AppendOutcome,
  ): Promise<AppendOutcome> {
    this.assertOpen();
    checkStreamName(stream);
    checkExpected(expected);
    return this.writer.submit({
      events: 1,
      bytes: 0,
      decide: (transaction) => rule(transaction, stream, expected),
    });
  }

  private async shutDown(): Promise<void> {
    await this.writer.close();
    this.tail.close();
    await this.storage.close();
    await this.lock.release();
  }

  /** Reads are answered in a later turn, like those of a store that is far away. */
  private async turn(): Promise<void> {
    await Promise.resolve();
    this.assertOpen();
  }

  private assertOpen(): void {
    if (this.closing !== undefined) throw new EngineError('closed', 'the event store is closed');
  }
}

function checkExpected(expected: Expected): void {
  if (typeof expected === 'number' && !(Number.isSafeInteger(expected) && expected >= 0)) {
    throw new EngineError('invalid', `not a revision: ${expected}`);
  }
}

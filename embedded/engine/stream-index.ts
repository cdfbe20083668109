import { LRUCache } from 'lru-cache';
import { EngineError } from './errors';
import { TOMBSTONE_TYPE, type RecordedEvent } from './record';
import { STREAM_ID_MAX, type IndexEntry, type Storage } from './storage';
import { isLongName, isMetadataStream, METADATA_STREAM_PREFIX } from './stream-name';
import { decodeRow, encodeRow, METADATA_TYPE, settingsOf, type StreamState } from './stream-state';

/** States kept although nothing is owed to the tables; about 300 bytes each. */
const STREAMS_CACHED_MAX = 50_000;
/** The same of streams with long names, which take up to 10 KB each. */
const LONG_NAMES_CACHED_MAX = 1_000;
/** Events whose index entries wait in memory; a start reads about so many records again. */
export const UNINDEXED_EVENTS_MAX = 8_192;
/** Streams whose entries one commit writes at most, beyond as many as it has events. */
const STREAMS_PER_COMMIT_MAX = 16;
const REPLAY_PAGE = 1_024;

/**
 * Where each stream's events lie in the log, and the streams' settings.
 *
 * The log alone is the truth. Writing the index entry of every event in its own transaction would touch one
 * page per stream and commit, which costs more than the events themselves. So entries gather in memory, and
 * each commit takes along those of a few streams, oldest first. What a crash loses is made again at the next
 * start from the records since the oldest debt.
 */
export class StreamIndex {
  private readonly cached = new LRUCache<string, StreamState>({ max: STREAMS_CACHED_MAX });
  private readonly cachedLong = new LRUCache<string, StreamState>({ max: LONG_NAMES_CACHED_MAX });
  /** Streams with debts, in the order of their oldest debt. */
  private readonly indebted = new Map<string, StreamState>();
  private unindexedCount = 0;
  private nextStreamId = 0;

  constructor(
    private readonly storage: Storage,
    private readonly unindexedMax: number,
  ) {}

  /** Brings the memory in line with the tables, forgetting whatever was in it. @returns the last position */
  restore(): number {
    this.cached.clear();
    this.cachedLong.clear();
    this.indebted.clear();
    this.unindexedCount = 0;
    this.nextStreamId = Number(this.storage.metaValue('nextStreamId') ?? 0);
    const last = this.storage.lastPosition();
    for (let next = Number(this.storage.metaValue('accountedBefore') ?? 0); next <= last;) {
      for (const event of this.storage.records(next, last, REPLAY_PAGE)) {
        this.account(event);
        next = event.position + 1;
      }
    }
    return last;
  }

  /** undefined: nothing was ever stored or set for the stream. */
  find(name: string): StreamState | undefined {
    const known = this.cacheOf(name).get(name) ?? this.indebted.get(name);
    if (known !== undefined) return known;
    const row = this.storage.stream(name);
    if (row === undefined) return undefined;
    const stored = decodeRow(name, row);
    const state: StreamState = {
      ...stored,
      name,
      head: this.storage.lastRevision(stored.id),
      unindexed: [],
      rowChanged: false,
      dirtySince: undefined,
    };
    this.cacheOf(name).set(name, state);
    return state;
  }

  findOrMake(name: string): StreamState {
    return this.find(name) ?? this.make(name);
  }

  /** Takes a record of the log into account; one that the tables have already changes nothing. */
  account(event: RecordedEvent): void {
    const state = this.findOrMake(event.stream);
    if (event.type === TOMBSTONE_TYPE) {
      state.tombstone = event.position;
      this.owe(state, event.position, true);
    } else if (event.revision > state.head) {
      state.head = event.revision;
      state.unindexed.push(event.position);
      this.unindexedCount++;
      this.owe(state, event.position, false);
    }
    if (event.type === METADATA_TYPE && isMetadataStream(event.stream)) {
      const target = this.findOrMake(event.stream.slice(METADATA_STREAM_PREFIX.length));
      target.settings = settingsOf(event);
      this.owe(target, event.position, true);
    }
  }

  /** Places of revisions `first` to `last`, both included; scavenged ones are missing. */
  entries(state: StreamState, first: number, last: number): readonly IndexEntry[] {
    const firstUnindexed = state.head + 1 - state.unindexed.length;
    const stored = this.storage.indexEntries(state.id, first, Math.min(last, firstUnindexed - 1));
    if (last < firstUnindexed) return stored;
    const begin = Math.max(first, firstUnindexed);
    const waiting = state.unindexed.slice(begin - firstUnindexed, last + 1 - firstUnindexed);
    return [...stored, ...waiting.map((position, n) => ({ revision: begin + n, position }))];
  }

  /** Place of one revision; undefined when it is not there, or was scavenged. */
  positionOf(state: StreamState, revision: number): number | undefined {
    return this.entries(state, revision, revision)[0]?.position;
  }

  /**
   * Chooses whose debts the coming commit pays. @returns what to call inside the transaction, and after it
   */
  payment(events: number, nextPosition: number): { write(): void; done(): void } | undefined {
    if (this.unindexedCount <= this.unindexedMax) return undefined;
    const payees: { readonly state: StreamState; readonly positions: readonly number[] }[] = [];
    const streams = STREAMS_PER_COMMIT_MAX + events;
    let entries = 0;
    for (const state of this.indebted.values()) {
      // Enough is paid when the debt does not grow; the surplus is what brings it down after a burst.
      if (payees.length >= streams || entries > 2 * events) break;
      payees.push({ state, positions: [...state.unindexed] });
      entries += state.unindexed.length;
    }
    const paid = new Set(payees.map(({ state }) => state));
    return {
      write: () => {
        for (const { state, positions } of payees) this.write(state, positions);
        this.storage.putMeta('nextStreamId', this.nextStreamId);
        this.storage.putMeta('accountedBefore', this.oldestDebt(paid) ?? nextPosition);
      },
      done: () => {
        for (const { state, positions } of payees) this.settle(state, positions.length);
      },
    };
  }

  /** Everything at lower positions is in the tables. */
  get accountedBefore(): number {
    return Number(this.storage.metaValue('accountedBefore') ?? 0);
  }

  private make(name: string): StreamState {
    if (this.nextStreamId > STREAM_ID_MAX) throw new EngineError('unwritable', 'the store has 2^32 streams');
    const state: StreamState = {
      name,
      id: this.nextStreamId++,
      head: -1,
      settings: {},
      tombstone: undefined,
      unindexed: [],
      rowChanged: true,
      dirtySince: undefined,
    };
    this.cacheOf(name).set(name, state);
    return state;
  }

  private cacheOf(name: string): LRUCache<string, StreamState> {
    return isLongName(name) ? this.cachedLong : this.cached;
  }

  private owe(state: StreamState, position: number, rowChanged: boolean): void {
    state.rowChanged ||= rowChanged;
    if (state.dirtySince !== undefined) return;
    state.dirtySince = position;
    this.indebted.set(state.name, state);
  }

  private oldestDebt(except: ReadonlySet<StreamState>): number | undefined {
    for (const state of this.indebted.values()) if (!except.has(state)) return state.dirtySince;
    return undefined;
  }

  private write(state: StreamState, positions: readonly number[]): void {
    const first = state.head + 1 - positions.length;
    positions.forEach((position, n) => {
      this.storage.putIndex(state.id, first + n, position);
    });
    if (state.rowChanged) this.storage.putStream(state.name, encodeRow(state));
  }

  private settle(state: StreamState, count: number): void {
    state.unindexed.splice(0, count);
    this.unindexedCount -= count;
    state.rowChanged = false;
    state.dirtySince = undefined;
    this.indebted.delete(state.name);
    this.cacheOf(state.name).set(state.name, state);
  }
}

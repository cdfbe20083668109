import {
  EventLog,
  EventLogUnavailable,
  READ_EVENTS_MAX,
  type AllRead,
  type AppendResult,
  type ExpectedRevision,
  type LogEvent,
  type LogFilter,
  type NewEvent,
  type ReadAllOptions,
  ShardAway,
  type ReadStreamOptions,
  type StreamRead,
  type SubscribeOptions,
  type SubscriptionItem,
} from '../../../application/ports/event-log';
import { fromPlaces, ofShard, placeIn, POSITION_START, type Position } from '../../../kernel/position';
import { subscribeToShards, type OnAway } from './merged-subscription';
import { OneShard } from './one-shard';
import { shardOfStream } from './placement';

/** After every place there is; where reading backwards begins, for a shard of which nothing has been read yet. */
const PLACE_END: Position = { commit: (1n << 63n) - 1n, prepare: (1n << 63n) - 1n };

export interface ShardedOptions {
  /** Identity of the whole log. */
  readonly epoch: () => Promise<string>;
  /** Told when the subscription to one shard breaks while others go on, and again with every attempt that fails. */
  readonly onAway?: OnAway;
  /** Told when a shard answers again. */
  readonly onBack?: (shard: number) => void;
  /** How far the read models are in every shard, for `headToFollow`; without it a shard that is away makes that fail. */
  readonly readModels?: () => Promise<Position>;
}

/**
 * The port over several logs (docs/adr/0037): each stream lies in the one that its name is placed in, and what follows all
 * streams follows all logs. A shard that is away takes its own streams with it and no others; what asks all shards (head,
 * readAll) rejects with {@link ShardAway} then, because nobody could tell what is missing.
 *
 * What a shard holds of streams that are placed elsewhere was left behind when they were moved, and is not shown.
 */
export class ShardedEventLog extends EventLog {
  private readonly gone = new Set<number>();

  /** @param shards in the order of the arrangement, two at least */
  constructor(
    private readonly logs: readonly EventLog[],
    private readonly options: ShardedOptions,
  ) {
    super();
  }

  override async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    const { log, shard } = this.placeOf(stream);
    const result = await this.asking(shard, () => log.append(stream, events, options));
    return result.kind === 'appended' ? { ...result, position: ofShard(shard, result.position) } : result;
  }

  override async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    const { log, shard } = this.placeOf(stream);
    const read = await this.asking(shard, () => log.readStream(stream, options));
    if (read.kind !== 'events' || shard === 0) return read;
    return { ...read, events: read.events.map((event) => eventIn(shard, event)) };
  }

  override async readAll(options: ReadAllOptions): Promise<AllRead> {
    const { limit, after, direction = 'forwards', shards } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > READ_EVENTS_MAX) {
      throw new RangeError(`a read takes 1 to ${READ_EVENTS_MAX} events, not ${limit}`);
    }
    const fromEach = Math.max(1, Math.floor(limit / (shards?.size ?? this.logs.length)));
    const begin = this.logs.map((_, shard) => beginOf(after, shard, direction));
    const pages = await Promise.all(
      this.logs.map(async (log, shard) => {
        const place = begin[shard] ?? POSITION_START;
        if (shards?.has(shard) === false) return Promise.resolve(nothingAfter(place));
        const from = place.commit === PLACE_END.commit ? {} : { after: place };
        const { after: _whole, ...others } = options;
        return this.asking(shard, () => log.readAll({ ...others, ...from, limit: fromEach }));
      }),
    );
    const kept = limit < this.logs.length ? firstOf(pages, limit, direction) : pages.map(() => true);
    return {
      events: pages.flatMap((page, shard) => (kept[shard] === true ? this.shown(shard, page.events) : [])),
      next: fromPlaces(
        pages.map((page, shard) => (kept[shard] === true ? page.next : (begin[shard] ?? POSITION_START))),
      ),
      endOfLog: pages.every(({ endOfLog }, shard) => endOfLog && kept[shard]),
    };
  }

  override subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    const isShown = (shard: number, event: LogEvent): boolean => this.isPlaced(shard, event);
    const onAway: OnAway = (shard, error) => {
      this.gone.add(shard);
      this.options.onAway?.(shard, error);
    };
    const onThere = (shard: number): void => {
      this.answered(shard);
    };
    return subscribeToShards(this.logs, () => this.head(), { ...options, isShown, onAway, onThere });
  }

  override async head(): Promise<Position> {
    return fromPlaces(await this.askAll((log) => log.head()));
  }

  override async headOf(filter: LogFilter): Promise<Position> {
    return fromPlaces(await this.askAll((log) => log.headOf(filter)));
  }

  override async headToFollow(filter: LogFilter): Promise<Position> {
    const { readModels } = this.options;
    if (readModels === undefined) return this.headOf(filter);
    const asked = await Promise.allSettled(
      this.logs.map((log, shard) => this.asking(shard, () => log.headOf(filter))),
    );
    const failed = asked.filter((one): one is PromiseRejectedResult => one.status === 'rejected');
    const [first] = failed;
    if (failed.length === this.logs.length) throw first?.reason;
    for (const { reason } of failed) if (!(reason instanceof ShardAway)) throw reason;
    const known = first === undefined ? POSITION_START : await readModels();
    return fromPlaces(
      asked.map((one, shard) => (one.status === 'fulfilled' ? one.value : placeIn(known, shard))),
    );
  }

  override get away(): ReadonlySet<number> {
    return this.gone;
  }

  override shardOf(stream: string): number {
    return shardOfStream(stream, this.logs.length);
  }

  override async setMaxCount(stream: string, maxCount: number): Promise<void> {
    const { log, shard } = this.placeOf(stream);
    await this.asking(shard, () => log.setMaxCount(stream, maxCount));
  }

  override get shards(): number {
    return this.logs.length;
  }

  override shard(number: number): EventLog {
    const log = this.logs[number];
    if (log === undefined) throw new RangeError(`there are ${this.shards} shards, and no shard ${number}`);
    return new OneShard(log, (event) => this.isPlaced(number, event), this.options.epoch);
  }

  override epoch(): Promise<string> {
    return this.options.epoch();
  }

  override async numbering(): Promise<string> {
    return (await this.askAll((log) => log.numbering())).join(' ');
  }

  private askAll<T>(ask: (log: EventLog) => Promise<T>): Promise<T[]> {
    return Promise.all(this.logs.map((log, shard) => this.asking(shard, () => ask(log))));
  }

  /** @throws ShardAway when the shard cannot be asked */
  private async asking<T>(shard: number, ask: () => Promise<T>): Promise<T> {
    try {
      const answer = await ask();
      this.answered(shard);
      return answer;
    } catch (error) {
      if (!(error instanceof EventLogUnavailable)) throw error;
      this.gone.add(shard);
      const which = `shard ${shard + 1} of ${this.logs.length} is away`;
      throw new ShardAway(shard, `${which}: ${error.message}`, { cause: error });
    }
  }

  private answered(shard: number): void {
    if (this.gone.delete(shard)) this.options.onBack?.(shard);
  }

  private placeOf(stream: string): { readonly log: EventLog; readonly shard: number } {
    const shard = this.shardOf(stream);
    return { log: this.logs[shard] as EventLog, shard };
  }

  private isPlaced(shard: number, { stream }: LogEvent): boolean {
    return this.shardOf(stream) === shard;
  }

  private shown(shard: number, events: readonly LogEvent[]): readonly LogEvent[] {
    return events
      .filter((event) => this.isPlaced(shard, event))
      .map((event) => (shard === 0 ? event : eventIn(shard, event)));
  }
}

const eventIn = (shard: number, event: LogEvent): LogEvent => ({
  ...event,
  position: ofShard(shard, event.position),
});

const nothingAfter = (next: Position): AllRead => ({ events: [], next, endOfLog: true });

function beginOf(after: Position | undefined, shard: number, direction: 'forwards' | 'backwards'): Position {
  if (after !== undefined) return placeIn(after, shard);
  return direction === 'forwards' ? POSITION_START : PLACE_END;
}

/**
 * For a page that holds fewer events than there are shards, of each of which one was read: which shards' are in it. The
 * oldest are, or backwards the youngest, by the time at which they were recorded; an empty page is taken as it is.
 */
function firstOf(pages: readonly AllRead[], limit: number, direction: 'forwards' | 'backwards'): boolean[] {
  const sign = direction === 'forwards' ? 1 : -1;
  const full = pages.flatMap(({ events: [event] }, shard) => (event === undefined ? [] : [{ shard, event }]));
  const order = full.toSorted((a, b) => sign * (a.event.created - b.event.created));
  const first = new Set(order.slice(0, limit).map(({ shard }) => shard));
  return pages.map(({ events }, shard) => events.length === 0 || first.has(shard));
}

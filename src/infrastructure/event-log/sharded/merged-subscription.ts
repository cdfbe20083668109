import { setTimeout as sleep } from 'node:timers/promises';
import type {
  EventLog,
  LogEvent,
  SubscribeOptions,
  SubscriptionItem,
} from '../../../application/ports/event-log';
import { furthest, ofShard, placeIn, POSITION_START, type Position } from '../../../kernel/position';

/** Items of one shard that wait for a slow reader at most; then that shard's subscription waits, too. */
export const SHARD_ITEMS_MAX = 64;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 5_000;

/** A shard, counted from 0, whose subscription has ended; it is taken up again. */
export type OnAway = (shard: number, error: Error | undefined) => void;

interface Options extends SubscribeOptions {
  /** Whether an event of a shard is one of the log's. */
  readonly isShown: (shard: number, event: LogEvent) => boolean;
  readonly onAway?: OnAway;
  /** Told with every item of a shard. */
  readonly onThere?: (shard: number) => void;
}

/**
 * One subscription over all shards: each one's items in their order, and those of several as they come. A shard that
 * goes away is subscribed to again for as long as another one is there; when all are gone, so is this subscription.
 */
export async function* subscribeToShards(
  shards: readonly EventLog[],
  head: () => Promise<Position>,
  options: Options,
): AsyncGenerator<SubscriptionItem, void, undefined> {
  if (options.signal?.aborted === true) return;
  const { after } = options;
  const begin = after === 'start' ? POSITION_START : after === 'end' ? await head() : after;
  const merged = new Merged(shards, begin, options);
  try {
    for (;;) {
      const item = await merged.next();
      if (item === undefined) return;
      yield item;
    }
  } finally {
    merged.end();
  }
}

/** One shard's end of it. */
interface Source {
  readonly shard: number;
  readonly log: EventLog;
  readonly items: SubscriptionItem[];
  /** Where its next subscription begins. */
  place: Position;
  isThere: boolean;
  isLive: boolean;
  wake: () => void;
}

class Merged {
  private readonly ending = new AbortController();
  private readonly signal: AbortSignal;
  private readonly sources: readonly Source[];
  /** Everything that was given lies at or before it. */
  private reached: Position;
  private turn = 0;
  private failure: Error | undefined;
  private ended = false;
  private wakeReader: () => void = nothing;

  constructor(
    shards: readonly EventLog[],
    begin: Position,
    private readonly options: Options,
  ) {
    this.reached = begin;
    this.signal =
      options.signal === undefined
        ? this.ending.signal
        : AbortSignal.any([this.ending.signal, options.signal]);
    this.signal.addEventListener('abort', this.stop, { once: true });
    const sources = shards.map((log, shard) => ({
      ...{ shard, log, items: [], place: placeIn(begin, shard) },
      ...{ isThere: true, isLive: false, wake: nothing },
    }));
    this.sources = sources.filter(({ shard }) => options.shards?.has(shard) !== false);
    for (const source of this.sources) void this.follow(source);
  }

  /** @returns undefined after the end. @throws what the last shard to go away said, if it said something */
  async next(): Promise<SubscriptionItem | undefined> {
    for (;;) {
      if (this.signal.aborted) return undefined;
      const item = this.take();
      if (item !== undefined) return item;
      if (this.ended) {
        if (this.failure !== undefined) throw this.failure;
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.wakeReader = resolve;
      });
    }
  }

  end(): void {
    this.ending.abort();
    this.signal.removeEventListener('abort', this.stop);
  }

  private readonly stop = (): void => {
    this.ended = true;
    this.wakeReader();
    for (const { wake } of this.sources) wake();
  };

  /** The next shard in turn that has something. */
  private take(): SubscriptionItem | undefined {
    const count = this.sources.length;
    for (let n = 0; n < count; n++) {
      const source = this.sources[(this.turn + n) % count] as Source;
      const item = source.items.shift();
      if (item === undefined) continue;
      this.turn = (source.shard + 1) % count;
      source.wake();
      return this.given(source, item);
    }
    return undefined;
  }

  private given(source: Source, item: SubscriptionItem): SubscriptionItem {
    const { shard } = source;
    const position = ofShard(shard, item.kind === 'event' ? item.event.position : item.position);
    this.reached = furthest(position, this.reached);
    const isShown = item.kind === 'event' && this.options.isShown(shard, item.event);
    if (isShown) return { kind: 'event', event: { ...item.event, position } };
    if (item.kind === 'caughtUp') source.isLive = true;
    const isLive = item.kind === 'caughtUp' && this.sources.every((other) => other.isLive);
    return { kind: isLive ? 'caughtUp' : 'checkpoint', position: this.reached };
  }

  /** Never rejects. */
  private async follow(source: Source): Promise<void> {
    for (let retryMs = RETRY_MIN_MS; !this.isOver(); retryMs = Math.min(RETRY_MAX_MS, retryMs * 2)) {
      let failure: Error | undefined;
      try {
        for await (const item of this.subscriptionTo(source)) {
          retryMs = RETRY_MIN_MS;
          await this.offer(source, item);
          if (this.isOver()) return;
        }
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
      if (this.isOver()) return;
      this.gone(source, failure);
      await sleep(retryMs * (0.5 + Math.random() / 2), undefined, { signal: this.signal, ref: false }).catch(
        nothing,
      );
    }
  }

  private subscriptionTo(source: Source): AsyncIterable<SubscriptionItem> {
    const { filter } = this.options;
    const after = source.place;
    return source.log.subscribe({
      ...{ after, signal: this.signal },
      ...(filter === undefined ? {} : { filter }),
    });
  }

  private async offer(source: Source, item: SubscriptionItem): Promise<void> {
    source.isThere = true;
    this.options.onThere?.(source.shard);
    source.items.push(item);
    source.place = furthest(item.kind === 'event' ? item.event.position : item.position, source.place);
    this.wakeReader();
    while (source.items.length >= SHARD_ITEMS_MAX && !this.isOver()) {
      await new Promise<void>((resolve) => {
        source.wake = resolve;
      });
    }
  }

  private gone(source: Source, failure: Error | undefined): void {
    [source.isThere, source.isLive] = [false, false];
    this.options.onAway?.(source.shard, failure);
    if (this.sources.some(({ isThere }) => isThere)) return;
    this.failure = failure;
    this.stop();
  }

  private isOver(): boolean {
    return this.ended || this.signal.aborted;
  }
}

const nothing = (): void => undefined;

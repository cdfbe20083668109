import { Inject, Injectable, Logger } from '@nestjs/common';
import {
  EventLog,
  type LogEvent,
  type LogFilter,
  type SubscriptionItem,
} from '../application/ports/event-log';
import { Executor } from '../application/executor';
import { beginStep } from '../application/ports/tracing';
import { CONVERSATION_STREAM_PREFIX, conversationOfStream } from '../domain/conversation/streams';
import { Clock } from '../kernel/clock';
import { toSeq, type ConversationId, type Millis, type Seq } from '../kernel/ids';
import { furthest, hasPassed, ofShard, placeIn, POSITION_START, type Position } from '../kernel/position';
import { LagTrail } from '../observability/lag-trail';
import { Metrics } from '../observability/metrics';
import { decode } from './audiences';
import { backoffMs, nothingUntil, pause, stopSignal, type Backoff } from './backoff';
import { ConversationLanes } from './conversation-lanes';
import { RelayedShards } from './relayed-shards';

/** While the feed waits for room it gives a sign of life this often. */
const ROOM_SIGN_MS = 1_000;
/**
 * Conversations whose last event is known until the next probe has looked at it. Of one that was forgotten the probe hands
 * out the event again, and everybody knows it by its seq: dearer, not wrong.
 */
export const RECENT_CONVERSATIONS_MAX = 100_000;
const RESUBSCRIBE: Backoff = { baseMs: 50, maxMs: 5_000 };
export const CONVERSATIONS_ONLY: LogFilter = { streamPrefixes: [CONVERSATION_STREAM_PREFIX] };

interface FeedStatus {
  /** False before the first subscription and while one is being taken up again. */
  readonly subscribed: boolean;
  /** When the subscription last said anything; undefined: never. */
  readonly lastItemAt: Millis | undefined;
  /** Events taken from the log whose fan-out waits for an audience to be loaded. */
  readonly waiting: number;
}

interface InFlight {
  readonly position: Position;
  done: boolean;
}

interface Waiter {
  readonly goal: Position;
  resolve(reached: boolean): void;
}

/** Who is shown every event of the log. */
export interface FeedObserver {
  observe(event: LogEvent): void;
}

export type FeedMetrics = Pick<Metrics, 'feedLagEvents' | 'feedRestarts'>;

/** How far a relay has brought a shard, in places of it, and by how many events. */
export interface RelayedTo {
  readonly done: Position;
  readonly taken: Position;
  readonly events: number;
}

/**
 * The node's one subscription over all conversations: every event is decoded once, shown to the executor, and
 * handed to the lanes, which find its receivers and push it. A subscription that ends, for whatever reason, is
 * taken up again from the last event taken, so that the sockets of this node miss nothing.
 */
@Injectable()
export class Feed {
  private readonly logger = new Logger(Feed.name);
  private readonly stopping = stopSignal();
  private running: Promise<void> | undefined;
  /** Resolves {@link standing}. */
  private stand: () => void = () => undefined;
  private readonly standing = new Promise<void>((resolve) => {
    this.stand = resolve;
  });
  private taken: Position | undefined;
  /** Where the feed began. */
  origin: Position = POSITION_START;
  private done: Position = POSITION_START;
  /** Where the next subscription begins: at or after `taken`, because checkpoints move it, too. */
  private resumeAfter: Position = POSITION_START;
  private readonly inFlight: InFlight[] = [];
  private readonly waiters = new Set<Waiter>();
  /** For counting how far others are behind this node. */
  readonly trail = new LagTrail();
  /** Conversation → the last event of it that was taken, and where it stands; for the probe, and since its last. */
  private recent = new Map<ConversationId, { readonly seq: Seq; readonly position: Position }>();
  /** Items the subscriptions have given so far. */
  heard = 0;
  private subscription: AbortController = stopSignal();
  /** The last event that came by the subscription. */
  private subscribedTo: Position = POSITION_START;
  private subscribed = false;
  private lastItemAt: Millis | undefined;
  readonly relayed: RelayedShards;
  /** Resolves when relays tell this node of everything for everybody who is connected now. */
  covered: () => Promise<void> = () => Promise.resolve();
  /** Which shards the subscription is to follow has changed. */
  private isOutdated = false;

  constructor(
    private readonly log: EventLog,
    @Inject(Executor) private readonly observer: FeedObserver,
    private readonly lanes: ConversationLanes,
    private readonly clock: Clock,
    @Inject(Metrics) private readonly metrics: FeedMetrics,
  ) {
    this.relayed = new RelayedShards(log.shards);
  }

  /**
   * The last conversation event taken from the log, or the last there was at the start; undefined until the log
   * has been reached. Whoever registers a connection and notes this afterwards misses nothing: all that was
   * handed out before lies at or before it, and all that will be handed out goes to the connection as well.
   */
  get position(): Position | undefined {
    return this.taken;
  }

  /** How far the subscription has come, whatever was in it. */
  get reached(): Position {
    return this.resumeAfter;
  }

  /** Everything up to and including this has been handed to the sockets that are to have it. */
  get handled(): Position {
    return this.done;
  }

  /** True as soon as everything up to `goal` has been handed out; false when `timeoutMs` run out first, or the feed ends. */
  async waitFor(goal: Position, timeoutMs?: number): Promise<boolean> {
    if (hasPassed(this.done, goal)) return true;
    return new Promise((resolve) => {
      const giveUp = (): void => {
        waiter.resolve(false);
      };
      const timer = timeoutMs === undefined ? undefined : setTimeout(giveUp, timeoutMs);
      const waiter: Waiter = {
        goal,
        resolve: (reached) => {
          clearTimeout(timer);
          this.waiters.delete(waiter);
          resolve(reached);
        },
      };
      this.waiters.add(waiter);
    });
  }

  status(): FeedStatus {
    const subscribed = this.subscribed || this.relayed.areAll;
    return { subscribed, lastItemAt: this.lastItemAt, waiting: this.lanes.waiting };
  }

  /** Begins at the end of the log. Resolves when the feed knows where it stands, or has been stopped. */
  async start(): Promise<void> {
    this.running ??= this.run(this.stopping.signal);
    await this.standing;
  }

  /** Ends the subscription and what waits for it; a stopped feed stays stopped. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.lanes.stop();
    this.stand();
    await this.running;
    for (const waiter of [...this.waiters]) waiter.resolve(false);
  }

  private async run(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !this.isStopped(); attempt++) {
      try {
        if (this.taken === undefined) await this.standAtTheEnd();
        for await (const item of this.items(signal)) {
          attempt = 0;
          const room = this.take(item);
          if (room !== undefined) await this.waitForRoom(room);
        }
      } catch (error) {
        if (!this.isStopped()) this.logger.warn({ err: error }, 'the subscription broke');
      }
      if (this.isStopped()) return;
      if (this.isOutdated) continue;
      this.subscribed = false;
      this.metrics.feedRestarts.inc();
      await pause(backoffMs(attempt, RESUBSCRIBE), signal);
    }
  }

  /** Of a subscription to the shards that this node follows itself; none: until that changes. */
  private items(signal: AbortSignal): AsyncIterable<SubscriptionItem> {
    const after = this.resumeAfter === POSITION_START ? 'start' : this.resumeAfter;
    this.subscription = stopSignal();
    this.isOutdated = false;
    const ends = AbortSignal.any([signal, this.subscription.signal]);
    const shards = this.relayed.own;
    if (shards?.size === 0) return nothingUntil(ends);
    const which = shards === undefined ? {} : { shards };
    return this.log.subscribe({ after, filter: CONVERSATIONS_ONLY, signal: ends, ...which });
  }

  /**
   * The position of the last event of any conversation rather than of the whole log: read models are asked to
   * have passed it, and they may not report how far they are in streams that are none of theirs.
   */
  private async standAtTheEnd(): Promise<void> {
    this.origin = await this.log.headToFollow(CONVERSATIONS_ONLY);
    this.taken = this.done = this.resumeAfter = this.subscribedTo = this.origin;
    this.stand();
  }

  private isStopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** @returns something to wait for when the lanes are full */
  private take(item: SubscriptionItem): Promise<void> | undefined {
    this.heard++;
    this.subscribed = true;
    this.lastItemAt = this.clock.now();
    switch (item.kind) {
      case 'event':
        this.takeEvent(item.event);
        return this.lanes.room();
      case 'checkpoint':
      case 'caughtUp':
        if (!this.isOutdated) this.resumeAfter = furthest(item.position, this.resumeAfter);
        return undefined;
    }
  }

  /**
   * Deciding who gets the event and moving `position` past it happen in one turn of the event loop whenever the
   * audience is known; a connection that registers in between cannot exist.
   */
  private takeEvent(event: LogEvent): void {
    // Still on its way when the shard was left.
    if (this.relayed.has(event.position)) return;
    this.resumeAfter = furthest(event.position, this.resumeAfter);
    this.subscribedTo = furthest(event.position, this.subscribedTo);
    this.trail.see(event.position);
    this.handOut(event);
  }

  /** An event that did not come: handed out from the log. Those whom it reaches twice know it by its seq. */
  repair(event: LogEvent): void {
    this.handOut(event);
  }

  /**
   * A relay is to follow the shard for this node. Resolves when all that this node has taken of it itself has been
   * handed out, with the place it came to; undefined: the shard was taken back meanwhile.
   */
  async leave(shard: number): Promise<Position | undefined> {
    const leaving = this.relayed.leave(shard);
    this.renew();
    const place = placeIn(this.taken ?? POSITION_START, shard);
    await this.waitFor(ofShard(shard, place));
    if (!this.relayed.begin(shard, leaving, place)) return undefined;
    this.lanes.forgetShard(shard);
    return place;
  }

  /**
   * What a relay says of a shard that was left to it: everything up to `done` has been handed out, and nothing after
   * `taken`. Places of the shard.
   */
  bringTo(shard: number, { done, taken, events }: RelayedTo): void {
    this.heard++;
    this.lastItemAt = this.clock.now();
    const at = ofShard(shard, done);
    this.taken = furthest(ofShard(shard, taken), this.taken ?? POSITION_START);
    this.done = furthest(at, this.done);
    this.resumeAfter = furthest(at, this.resumeAfter);
    this.subscribedTo = furthest(at, this.subscribedTo);
    this.relayed.bringTo(shard, placeIn(this.done, shard));
    if (events > 0) this.trail.see(ofShard(shard, taken), events);
    this.tellWaiters();
  }

  /** The shard is this node's own again, from where everything has been handed out. */
  follow(shard: number): void {
    if (this.relayed.follow(shard)) this.renew();
  }

  /** Was the event, or a later one of its conversation, taken since the last {@link forgetUpTo}? */
  hasTaken({ stream, revision, position }: LogEvent): boolean {
    if (this.relayed.hasBrought(position)) return true;
    const id = conversationOfStream(stream);
    const known = id === undefined ? undefined : this.recent.get(id);
    return known !== undefined && known.seq >= toSeq(revision);
  }

  /** Nobody will ask {@link hasTaken} about events up to here any more. */
  forgetUpTo(position: Position): void {
    for (const [id, last] of this.recent) if (hasPassed(position, last.position)) this.recent.delete(id);
  }

  /** Takes the subscription up again from the last event that came by it. */
  restart(): void {
    this.resumeAfter = this.subscribedTo;
    this.subscription.abort();
  }

  private handOut(event: LogEvent): void {
    this.taken = furthest(event.position, this.taken ?? POSITION_START);
    const conversationId = conversationOfStream(event.stream);
    if (conversationId === undefined) return;
    this.remember(conversationId, event);
    this.observer.observe(event);
    const entry: InFlight = { position: event.position, done: false };
    this.inFlight.push(entry);
    const decoded = decode(conversationId, event);
    const step = beginStep(`feed ${event.type}`, 'consumer', decoded.traceparent, {
      'parley.conversation': conversationId,
    });
    const taken = step === undefined ? decoded : { ...decoded, traceparent: step.traceparent };
    this.lanes.take(taken, () => {
      step?.end();
      this.finish(entry);
    });
  }

  private remember(id: ConversationId, { revision, position }: LogEvent): void {
    const seq = toSeq(revision);
    const known = this.recent.get(id);
    if (known !== undefined && known.seq >= seq) return;
    if (known === undefined && this.recent.size >= RECENT_CONVERSATIONS_MAX) {
      const [oldest] = this.recent.keys();
      if (oldest !== undefined) this.recent.delete(oldest);
    }
    this.recent.set(id, { seq, position });
  }

  /** Full lanes are no silence: the subscription has more to say than can be taken. */
  private async waitForRoom(room: Promise<void>): Promise<void> {
    const counting = setInterval(() => {
      this.heard++;
    }, ROOM_SIGN_MS).unref();
    await room;
    clearInterval(counting);
  }

  private finish(entry: InFlight): void {
    entry.done = true;
    while (this.inFlight[0]?.done === true) {
      this.done = furthest(this.inFlight[0].position, this.done);
      this.inFlight.shift();
    }
    this.metrics.feedLagEvents.set(this.inFlight.length);
    this.tellWaiters();
  }

  private tellWaiters(): void {
    for (const waiter of this.waiters) if (hasPassed(this.done, waiter.goal)) waiter.resolve(true);
  }

  private renew(): void {
    this.isOutdated = true;
    this.subscription.abort();
  }
}

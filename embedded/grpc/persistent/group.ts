import type { EmbeddedEventStore } from '../../engine/event-store';
import { everyStream, originalOf, resolveLink, unresolved, type ResolvedEvent } from '../links';
import { Checkpoint } from './checkpoint';
import { Consumer, type ConsumerName, type Delivery } from './consumer';
import { MessageQueue, type Message } from './messages';
import { ParkedMessages } from './parked';
import { groupKey, type GroupSettings, type Place } from './settings';
import { sourceOf } from './source';
import { strategyOf, type Choose } from './strategy';

/** Of messages that wait in memory; one alone may be larger. */
export const GROUP_BYTES_MAX = 1_048_576;
export const GROUP_MESSAGES_MAX = 5_000;
/** Replayed messages sort before all of the source, in the order in which they were parked. */
const REPLAYED_ORDER = -(2 ** 52);

export type NackAction = 'retry' | 'park' | 'skip';

interface UnderWay {
  readonly message: Message;
  readonly consumer: Consumer;
  readonly expires: number;
  /** On its way to the parked messages: nothing else may happen to it. */
  parking: boolean;
}

/**
 * A group of consumers: each event of the source goes to one of them, again and again until it is settled or
 * parked. What is not settled is before no checkpoint, so that nothing is lost when this process dies.
 */
export class Group {
  readonly key: string;
  readonly parked: ParkedMessages;
  private readonly checkpoint: Checkpoint;
  private readonly choose: Choose;
  private readonly stopping = new AbortController();
  private readonly ready = new MessageQueue();
  private readonly retry = new MessageQueue();
  /** Of the source, not settled: the place before each, oldest first. */
  private readonly pending = new Map<number, Place>();
  private readonly underWay = new Map<string, UnderWay>();
  private members: Consumer[] = [];
  private pumping: Promise<void> = Promise.resolve();
  private replaying: Promise<void> | undefined;
  private wakePump: (() => void) | undefined;
  private taken: Place = -1;
  private lastOrder = 0;
  private checkpointedOrder = 0;
  private checkpointedAt = 0;
  private isLive = false;
  private given = 0;
  private failed = false;

  constructor(
    private readonly store: EmbeddedEventStore,
    readonly settings: GroupSettings,
  ) {
    this.key = groupKey(settings.stream, settings.group);
    this.checkpoint = new Checkpoint(store, settings.stream, settings.group);
    this.parked = ParkedMessages.of(store, this.key);
    this.choose = strategyOf(settings.strategy);
  }

  /** @param otherwise where a group begins that has no checkpoint */
  async start(otherwise: Place): Promise<void> {
    await this.parked.load();
    this.taken = (await this.checkpoint.load()) ?? otherwise;
    this.pumping = this.pump(this.taken).catch(() => {
      this.fail();
    });
  }

  get consumers(): readonly Consumer[] {
    return this.members;
  }

  get isFull(): boolean {
    const { maxSubscriberCount } = this.settings;
    return maxSubscriberCount > 0 && this.members.length >= maxSubscriberCount;
  }

  /** What operators look at. */
  get figures() {
    return {
      total: this.given,
      live: this.isLive,
      replaying: this.replaying !== undefined,
      buffered: this.ready.count,
      retrying: this.retry.count,
      underWay: this.underWay.size,
      pending: this.pending.size,
      parked: this.parked.count,
      taken: this.taken,
      checkpoint: this.checkpoint.last,
    };
  }

  connect(name: ConsumerName, slots: number, delivery: Delivery): Consumer {
    const onRoom = (): void => {
      this.dispatch();
    };
    const consumer = new Consumer(name, slots, this.settings.extraStatistics, delivery, onRoom);
    this.members = [...this.members, consumer];
    if (this.failed) consumer.drop();
    this.dispatch();
    this.wakePump?.();
    return consumer;
  }

  /** What it had and did not settle goes to others, or waits for them. */
  disconnect(consumer: Consumer): void {
    if (!this.members.includes(consumer)) return;
    this.members = this.members.filter((member) => member !== consumer);
    for (const message of consumer.messages) {
      if (this.underWay.get(message.id)?.parking !== true) this.again(message);
    }
    this.dispatch();
  }

  ack(ids: readonly string[]): void {
    for (const id of ids) this.settle(id);
    this.goOn();
  }

  nack(ids: readonly string[], action: NackAction, reason: string): void {
    for (const id of ids) {
      const known = this.underWay.get(id);
      if (known === undefined || known.parking) continue;
      if (action === 'skip') this.settle(id);
      else if (action === 'park') this.park(known, `Client explicitly NAK'ed message.\n${reason}`);
      else this.againOrPark(known);
    }
    this.goOn();
  }

  /**
   * Gives parked messages before revision `stopAt` out again; while that goes on, asking again does nothing.
   */
  replayParked(stopAt: number): void {
    const over = (): void => {
      this.replaying = undefined;
    };
    // What could not be read is parked still, and replayed when somebody asks again.
    this.replaying ??= this.replay(stopAt).then(over, over);
  }

  /** To be called several times a second. */
  tick(now: number): void {
    if (this.settings.messageTimeoutMs > 0) {
      for (const known of [...this.underWay.values()]) {
        if (known.parking) continue;
        // All wait equally long, so those behind the first that has time left have time left as well.
        if (known.expires > now) break;
        this.againOrPark(known);
      }
      this.dispatch();
    }
    this.mark(true);
    this.parked.flush();
  }

  /** Drops the consumers and remembers how far they have come. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.wakePump?.();
    for (const consumer of this.members) consumer.drop();
    this.members = [];
    await this.pumping;
    await this.replaying;
    if (this.settledOrder() > this.checkpointedOrder) this.writeCheckpoint(performance.now());
    await this.checkpoint.settled();
    await this.parked.settled();
  }

  /** After {@link stop}: leaves nothing behind. */
  async remove(): Promise<void> {
    await this.checkpoint.remove();
    await this.parked.remove();
  }

  /** The source cannot be read: nobody is to wait for what does not come. */
  private fail(): void {
    this.failed = true;
    this.isLive = false;
    for (const consumer of this.members) consumer.drop();
  }

  private async pump(after: Place): Promise<void> {
    for await (const item of sourceOf(this.store, this.settings, after, this.stopping.signal)) {
      switch (item.kind) {
        case 'event': {
          const { event, place } = item;
          const { resolveLinks } = this.settings;
          const resolved = resolveLinks
            ? await resolveLink(this.store, event, everyStream)
            : unresolved(event);
          this.take(resolved, place);
          while (!this.mayTake()) await this.room();
          break;
        }
        case 'passed':
          this.lastOrder += item.place - this.taken;
          this.taken = item.place;
          break;
        case 'live':
        case 'behind':
          this.isLive = item.kind === 'live';
          break;
      }
    }
  }

  private take(resolved: ResolvedEvent, place: Place): void {
    const { id } = originalOf(resolved);
    const message = {
      id,
      resolved,
      order: ++this.lastOrder,
      before: this.taken,
      parkedAt: undefined,
      retries: 0,
    };
    this.taken = place;
    this.pending.set(message.order, message.before);
    this.ready.add(message);
    this.dispatch();
  }

  /** Without consumers only a little is read ahead: many groups may be idle. */
  private mayTake(): boolean {
    if (this.isStopping()) return true;
    const { readBatchSize, historyBufferSize } = this.settings;
    const wanted = this.members.length === 0 ? readBatchSize : historyBufferSize;
    return this.ready.count < Math.min(wanted, GROUP_MESSAGES_MAX) && this.ready.bytes < GROUP_BYTES_MAX;
  }

  private async room(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wakePump = resolve;
    });
    this.wakePump = undefined;
  }

  private async replay(stopAt: number): Promise<void> {
    for await (const { parkedAt, resolved } of this.parked.replay(stopAt, this.settings.readBatchSize)) {
      if (this.isStopping()) return;
      const { id } = originalOf(resolved);
      this.retry.add({ id, resolved, order: REPLAYED_ORDER + parkedAt, before: -1, parkedAt, retries: 0 });
      this.dispatch();
      while (!this.isStopping() && this.retry.count >= GROUP_MESSAGES_MAX) await this.roomForRetries();
    }
  }

  private async roomForRetries(): Promise<void> {
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 100).unref();
    });
  }

  private dispatch(): void {
    const someRoom = (): boolean => this.members.some((consumer) => consumer.hasRoom);
    if (!someRoom()) return;
    const give = (message: Message): 'taken' | 'kept' | 'full' => {
      // Two events may have one id; the second waits until the first is settled, or nobody could tell which
      // was.
      if (this.underWay.has(message.id)) return 'kept';
      const consumer = this.choose(message, this.members);
      if (consumer === undefined) return someRoom() ? 'kept' : 'full';
      const expires = performance.now() + this.settings.messageTimeoutMs;
      this.underWay.set(message.id, { message, consumer, expires, parking: false });
      this.given++;
      consumer.give(message);
      return 'taken';
    };
    if (this.retry.offer(give)) this.ready.offer(give);
    this.wakePump?.();
  }

  private goOn(): void {
    this.mark(false);
    this.dispatch();
  }

  private settle(id: string): void {
    const known = this.underWay.get(id);
    if (known === undefined || known.parking) return;
    this.finish(known);
  }

  private finish({ message, consumer }: UnderWay): void {
    this.underWay.delete(message.id);
    consumer.release(message.id);
    this.pending.delete(message.order);
    if (message.parkedAt !== undefined) this.parked.settle(message.parkedAt);
  }

  private againOrPark(known: UnderWay): void {
    const { maxRetryCount } = this.settings;
    if (known.message.retries < maxRetryCount) this.again(known.message);
    else this.park(known, `Reached retry count of ${maxRetryCount}`);
  }

  private again(message: Message): void {
    this.underWay.get(message.id)?.consumer.release(message.id);
    this.underWay.delete(message.id);
    this.retry.add({ ...message, retries: message.retries + 1 });
  }

  /** Its consumer's slot stays taken until it is parked, so that no more are on the way than may be. */
  private park(known: UnderWay, reason: string): void {
    known.parking = true;
    this.parked.park(known.message, reason).then(
      () => {
        this.finish(known);
        this.goOn();
      },
      () => {
        // Nowhere to put it: it is tried again rather than lost.
        known.parking = false;
        this.again(known.message);
      },
    );
  }

  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private settledOrder(): number {
    const [oldest] = this.pending.keys();
    return oldest === undefined ? this.lastOrder : oldest - 1;
  }

  private mark(timed: boolean): void {
    const { checkpointAfterMs, minCheckpointCount, maxCheckpointCount } = this.settings;
    const done = this.settledOrder() - this.checkpointedOrder;
    if (done <= 0) return;
    const now = performance.now();
    const due = timed && checkpointAfterMs > 0 && now - this.checkpointedAt >= checkpointAfterMs;
    if (done >= maxCheckpointCount || (due && done >= minCheckpointCount)) this.writeCheckpoint(now);
  }

  private writeCheckpoint(now: number): void {
    const [oldest] = this.pending.values();
    this.checkpointedOrder = this.settledOrder();
    this.checkpointedAt = now;
    this.checkpoint.write(oldest ?? this.taken);
  }
}

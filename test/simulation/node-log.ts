import {
  AppendOutcomeUnknown,
  EventLog,
  EventLogUnavailable,
  type AllRead,
  type AppendResult,
  type ExpectedRevision,
  type LogEvent,
  type NewEvent,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StreamRead,
  type SubscribeOptions,
  type SubscriptionItem,
} from '../../src/application/ports/event-log';
import type { Position } from '../../src/kernel/position';
import type { Random } from './random';
import type { VirtualTime } from './virtual-time';

/** How the log behaves towards nodes; probabilities per call, or per item of a subscription. */
export interface LogWeather {
  latencyMs: number;
  /** It is stored, and its writer hears of a time-out. */
  lostAck: number;
  /** It never arrives, and its writer hears of a time-out. */
  lost: number;
  /** It arrives after its writer has heard of the time-out. */
  late: number;
  unavailable: number;
  readFails: number;
  /** The subscription ends. */
  breaks: number;
  /** The next subscription begins some events too early. */
  repeats: number;
  /** The subscription says nothing for a while. */
  stalls: number;
  /** An event is left out of the subscription, as a frame between nodes may be. */
  skips: number;
}

export const CALM: LogWeather = {
  latencyMs: 2,
  lostAck: 0,
  lost: 0,
  late: 0,
  unavailable: 0,
  readFails: 0,
  breaks: 0,
  repeats: 0,
  stalls: 0,
  skips: 0,
};

const TIMEOUT_MS = 400;
const STALL_MS = 4_000;
const LATE_MS = 3_000;
const REPEATED_EVENTS_MAX = 12;

/** One node's connection to the log, with everything that can go wrong on the way; nothing reaches a dead node. */
export class NodeLog extends EventLog {
  isCut = false;
  /**
   * Whether the node can notice that this event was left out. It cannot when it has not met the conversation before:
   * then no revision is missing in what it knows.
   */
  canMiss: (event: LogEvent) => boolean = () => false;
  private readonly death = new AbortController();

  constructor(
    private readonly log: EventLog,
    readonly weather: LogWeather,
    private readonly time: VirtualTime,
    private readonly random: Random,
  ) {
    super();
  }

  /** What is on its way to the log still arrives there; nothing comes back. */
  die(): void {
    this.death.abort();
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    const { weather, random } = this;
    await this.unlessDead();
    if (this.isAway() || random.chance(weather.unavailable)) return this.refuse();
    await this.travel();
    if (random.chance(weather.lost)) return this.timeOut('it was lost on its way');
    if (random.chance(weather.late)) {
      this.time.after(TIMEOUT_MS + random.next() * LATE_MS, () => {
        void this.log.append(stream, events, options).catch(() => undefined);
      });
      return this.timeOut('it is still on its way');
    }
    const result = await this.log.append(stream, events, options);
    if (this.isAway() || random.chance(weather.lostAck)) return this.timeOut('its answer was lost');
    return this.back(result);
  }

  async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    return this.read(() => this.log.readStream(stream, options));
  }

  async readAll(options: ReadAllOptions): Promise<AllRead> {
    return this.read(() => this.log.readAll(options));
  }

  async head(): Promise<Position> {
    return this.read(() => this.log.head());
  }

  async epoch(): Promise<string> {
    // As adapters do: asked once, remembered for the life of the node.
    return this.log.epoch();
  }

  async setMaxCount(stream: string, maxCount: number): Promise<void> {
    await this.read(() => this.log.setMaxCount(stream, maxCount));
  }

  async *subscribe({ after, filter, signal }: SubscribeOptions): AsyncGenerator<SubscriptionItem> {
    const { weather, random } = this;
    await this.travel();
    if (this.isAway()) await this.refuse();
    const over = new AbortController();
    const end = (): void => {
      over.abort();
    };
    const ends = [signal, this.death.signal].filter((one) => one !== undefined);
    for (const one of ends) one.addEventListener('abort', end);
    try {
      yield* this.disturbed(
        this.log.subscribe({
          after: random.chance(weather.repeats) ? this.earlier(after) : after,
          ...(filter === undefined ? {} : { filter }),
          signal: over.signal,
        }),
      );
    } finally {
      end();
      for (const one of ends) one.removeEventListener('abort', end);
    }
  }

  private async *disturbed(items: AsyncIterable<SubscriptionItem>): AsyncGenerator<SubscriptionItem> {
    const { weather, random } = this;
    for await (const item of items) {
      if (random.chance(weather.stalls)) await this.time.sleep(random.next() * STALL_MS);
      else if (random.chance(0.3)) await this.travel();
      if (this.death.signal.aborted) break;
      if (this.isAway() || random.chance(weather.breaks))
        throw new EventLogUnavailable('the subscription broke');
      if (item.kind === 'event' && random.chance(weather.skips) && this.canMiss(item.event)) continue;
      yield item;
    }
    await this.unlessDead();
  }

  private isAway(): boolean {
    return this.isCut;
  }

  private earlier(after: SubscribeOptions['after']): SubscribeOptions['after'] {
    if (typeof after === 'string') return after;
    const back = BigInt(this.random.below(REPEATED_EVENTS_MAX));
    if (after.commit - back < 0n) return 'start';
    return { commit: after.commit - back, prepare: after.prepare - back };
  }

  private async read<T>(work: () => Promise<T>): Promise<T> {
    await this.unlessDead();
    if (this.isAway() || this.random.chance(this.weather.readFails)) return this.refuse();
    await this.travel();
    return this.back(await work());
  }

  private async back<T>(result: T): Promise<T> {
    await this.travel();
    await this.unlessDead();
    return result;
  }

  private async refuse(): Promise<never> {
    await this.travel();
    await this.unlessDead();
    throw new EventLogUnavailable('the log is away');
  }

  private async timeOut(why: string): Promise<never> {
    await this.time.sleep(TIMEOUT_MS);
    await this.unlessDead();
    throw new AppendOutcomeUnknown(why);
  }

  private travel(): Promise<void> {
    return this.time.sleep(this.random.delayMs(this.weather.latencyMs));
  }

  /** A process that was killed waits for ever: nothing it began goes on. */
  private unlessDead(): Promise<void> | undefined {
    return this.death.signal.aborted ? new Promise(() => undefined) : undefined;
  }
}

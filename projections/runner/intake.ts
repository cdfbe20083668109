import type { LogEvent, SubscriptionItem } from '../../src/application/ports/event-log';
import { furthest, POSITION_START, type Position } from '../../src/kernel/position';

/** When to stop waiting for more, on the clock of `performance.now()`. */
export interface Pace {
  /** With at least one event there. */
  readonly eventsDue: number;
  /** With nothing there but the word that the log has moved on. */
  readonly idleDue: number;
}

export interface Taken {
  /** May be empty: then only the position moved. */
  readonly events: readonly LogEvent[];
  /** Everything up to here has been taken. */
  readonly position: Position;
}

/**
 * Between the subscription, which gives one item at a time, and the database, which wants many: while a batch is
 * being applied the next one gathers here, at most `eventsMax` of them; then the subscription waits.
 */
export class Intake {
  private events: LogEvent[] = [];
  /** Of the last item, when it has not been taken yet. */
  private position: Position | undefined;
  private ended = false;
  private failure: Error | undefined;
  private wanted = 1;
  private wakeTaker: () => void = nothing;
  private wakeFiller: () => void = nothing;

  /** @param taken everything up to here has been taken before */
  constructor(
    private readonly eventsMax: number,
    private taken: Position = POSITION_START,
  ) {}

  /** Events that can be taken now. */
  get size(): number {
    return this.events.length;
  }

  /** Takes all items in, until their end. Never rejects: the taker is told. */
  async fill(items: AsyncIterable<SubscriptionItem>): Promise<void> {
    try {
      for await (const item of items) {
        if (item.kind === 'event') this.push(item.event);
        else this.moveTo(item.position);
        while (this.events.length >= this.eventsMax && !this.ended) await this.room();
        if (this.ended) return;
      }
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error));
    } finally {
      this.end();
    }
  }

  /** Nothing more comes in, and nothing more is given: the taker stops. */
  close(): void {
    this.events = [];
    this.failure = undefined;
    this.end();
  }

  /**
   * At most `limit` events: as soon as so many are there, or something is and its time has come.
   * @returns undefined after the end. @throws what the subscription threw, after everything before it was taken
   */
  async take(limit: number, pace: Pace): Promise<Taken | undefined> {
    this.wanted = limit;
    while (this.events.length < limit && !this.ended) {
      const due = this.events.length > 0 ? pace.eventsDue : pace.idleDue;
      const waitMs = this.position === undefined ? Infinity : due - performance.now();
      if (waitMs <= 0) break;
      await this.change(waitMs);
    }
    if (this.events.length === 0 && this.ended) {
      if (this.failure !== undefined) throw this.failure;
      return undefined;
    }
    return this.cut(limit);
  }

  private end(): void {
    this.ended = true;
    this.wakeTaker();
    this.wakeFiller();
  }

  private cut(limit: number): Taken {
    const all = this.events.length <= limit;
    const events = all ? this.events : this.events.slice(0, limit);
    this.events = all ? [] : this.events.slice(limit);
    const position = all
      ? this.position
      : events.reduce((reached, event) => furthest(event.position, reached), this.taken);
    if (all) this.position = undefined;
    this.wakeFiller();
    if (position === undefined) throw new Error('woken with nothing to take');
    this.taken = position;
    return { events, position };
  }

  private push(event: LogEvent): void {
    this.position = furthest(event.position, this.position ?? this.taken);
    const count = this.events.push(event);
    if (count === 1 || count >= this.wanted) this.wakeTaker();
  }

  private moveTo(position: Position): void {
    this.position = furthest(position, this.position ?? this.taken);
    if (this.events.length === 0) this.wakeTaker();
  }

  private change(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = Number.isFinite(waitMs) ? setTimeout(resolve, waitMs) : undefined;
      this.wakeTaker = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private room(): Promise<void> {
    return new Promise((resolve) => {
      this.wakeFiller = resolve;
    });
  }
}

const nothing = (): void => undefined;

import type { RecordedEvent } from './record';

/**
 * Events of the end of the log that are kept in memory for subscribers. Few: what is kept for longer than a
 * round of the young generation's collection ends in the old one, whose collection holds everybody up. Who is
 * further behind reads from the store.
 */
export const LIVE_EVENTS_MAX = 512;
export const LIVE_BYTES_MAX = 16 * 1_048_576;

/**
 * The last events of the log, shared by all live subscribers. Each subscriber has only a position of its own
 * and reads from here while it keeps up, from the store when it does not: a slow one costs no memory, and
 * there is no moment of hand-over in which an event could be lost or doubled.
 */
export class LiveTail {
  private readonly slots = new Array<RecordedEvent | undefined>(LIVE_EVENTS_MAX).fill(undefined);
  private readonly waiting = new Set<() => void>();
  private readonly waitingFor = new Map<string, Set<() => void>>();
  private readonly watchers = new Set<(last: number) => void>();
  private bytes = 0;
  private oldestKept: number;
  private nextPosition: number;
  private ended = false;

  /** @param last position of the last durable event; -1 when there is none */
  constructor(last: number) {
    this.nextPosition = last + 1;
    this.oldestKept = last + 1;
  }

  /** Position of the last event that is on the disk; -1 when there is none. */
  get last(): number {
    return this.nextPosition - 1;
  }

  /** Events from here on are in memory. */
  get oldest(): number {
    return this.oldestKept;
  }

  get closed(): boolean {
    return this.ended;
  }

  /** The event at a position, when it is in memory. */
  find(position: number): RecordedEvent | undefined {
    return position >= this.oldestKept && position < this.nextPosition ? this.at(position) : undefined;
  }

  /** Only of positions from `oldest` to `last`. */
  at(position: number): RecordedEvent {
    return this.slots[position % LIVE_EVENTS_MAX] as RecordedEvent;
  }

  /** Adds what has become durable and wakes all who wait. */
  extend(events: readonly RecordedEvent[]): void {
    for (const event of events) {
      if (this.nextPosition - this.oldestKept >= LIVE_EVENTS_MAX) this.dropOldest();
      this.slots[event.position % LIVE_EVENTS_MAX] = event;
      this.bytes += event.size;
      this.nextPosition = event.position + 1;
      while (this.bytes > LIVE_BYTES_MAX) this.dropOldest();
    }
    if (this.waitingFor.size > 0) this.wakeReadersOf(events);
    wake(this.waiting);
    for (const watcher of this.watchers) watcher(this.last);
  }

  /** Resolves when there is something past `position`, the signal aborts, or the store closes. */
  async past(position: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.last > position || this.ended || signal?.aborted === true) return;
    await waitIn(this.waiting, signal);
  }

  /**
   * Resolves at the stream's next event, when the signal aborts, or when the store closes. Appends to other
   * streams wake nobody here: what ten thousand subscribers of quiet streams cost is the memory they wait in.
   */
  async changeOf(stream: string, signal: AbortSignal | undefined): Promise<void> {
    if (this.ended || signal?.aborted === true) return;
    const readers = this.waitingFor.get(stream) ?? new Set();
    this.waitingFor.set(stream, readers);
    await waitIn(readers, signal);
    if (readers.size === 0 && this.waitingFor.get(stream) === readers) this.waitingFor.delete(stream);
  }

  /** How many wait for an event of this stream. */
  readersOf(stream: string): number {
    return this.waitingFor.get(stream)?.size ?? 0;
  }

  /** Calls `watcher` with the new last position whenever the log has grown. @returns what ends it */
  watch(watcher: (last: number) => void): () => void {
    this.watchers.add(watcher);
    return () => {
      this.watchers.delete(watcher);
    };
  }

  close(): void {
    this.ended = true;
    for (const readers of [...this.waitingFor.values()]) wake(readers);
    wake(this.waiting);
  }

  private wakeReadersOf(events: readonly RecordedEvent[]): void {
    for (const stream of new Set(events.map((event) => event.stream))) {
      const readers = this.waitingFor.get(stream);
      if (readers !== undefined) wake(readers);
    }
  }

  private dropOldest(): void {
    const slot = this.oldestKept % LIVE_EVENTS_MAX;
    this.bytes -= this.slots[slot]?.size ?? 0;
    this.slots[slot] = undefined;
    this.oldestKept++;
  }
}

function waitIn(waiting: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise<void>((resolve) => {
    const wakeUp = (): void => {
      waiting.delete(wakeUp);
      signal?.removeEventListener('abort', wakeUp);
      resolve();
    };
    waiting.add(wakeUp);
    signal?.addEventListener('abort', wakeUp, { once: true });
  });
}

function wake(waiting: ReadonlySet<() => void>): void {
  for (const wakeUp of [...waiting]) wakeUp();
}

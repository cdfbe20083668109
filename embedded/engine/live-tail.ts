import type { RecordedEvent } from './record';

/** Events of the end of the log that are kept in memory for subscribers. */
export const LIVE_EVENTS_MAX = 4_096;
export const LIVE_BYTES_MAX = 16 * 1_048_576;

/**
 * The last events of the log, shared by all live subscribers. Each subscriber has only a position of its own
 * and reads from here while it keeps up, from the store when it does not: a slow one costs no memory, and
 * there is no moment of hand-over in which an event could be lost or doubled.
 */
export class LiveTail {
  private readonly slots = new Array<RecordedEvent | undefined>(LIVE_EVENTS_MAX).fill(undefined);
  private readonly waiting = new Set<() => void>();
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
    this.wakeAll();
  }

  /** Resolves when there is something past `position`, the signal aborts, or the store closes. */
  async past(position: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.last > position || this.ended || signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.waiting.add(wake);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  close(): void {
    this.ended = true;
    this.wakeAll();
  }

  private wakeAll(): void {
    for (const wake of [...this.waiting]) wake();
  }

  private dropOldest(): void {
    const slot = this.oldestKept % LIVE_EVENTS_MAX;
    this.bytes -= this.slots[slot]?.size ?? 0;
    this.slots[slot] = undefined;
    this.oldestKept++;
  }
}

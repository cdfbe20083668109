import { Storage } from './storage';
import { subscribeToLog, type LogEnd, type SubscribeOptions, type SubscriptionItem } from './subscription';
import { readForwards, type LogPage } from './reader';
import type { EventPredicate } from './filter';
import type { RecordedEvent } from './record';

/**
 * Reads a log that a store in another thread of this process has open and writes. It is told by that thread how far
 * the log goes, and reads the events by itself: nothing of them passes through the writer's thread.
 */
export class LogFollower {
  private readonly end = new ToldEnd();

  private constructor(private readonly storage: Storage) {}

  /** @param path folder of the store, which must be open already. @throws EngineError `newerFormat` */
  static open(path: string): LogFollower {
    return new LogFollower(Storage.open(path, { readOnly: true }));
  }

  /** Everything up to and including `position` is on the disk. */
  growTo(position: number): void {
    this.storage.refresh();
    this.end.moveTo(position);
  }

  /** As {@link EmbeddedEventStore.subscribeToAll}. @throws EngineError `corrupt` */
  subscribeToAll(options: SubscribeOptions): AsyncGenerator<SubscriptionItem, void, undefined> {
    const forwards = (after: number, limit: number, passes: EventPredicate): LogPage =>
      readForwards(this.storage, this.end.last, { after, limit, passes });
    return subscribeToLog({ forwards }, this.end, options);
  }

  /** Ends the subscriptions. */
  async close(): Promise<void> {
    this.end.close();
    await this.storage.close();
  }
}

/** The end of a log of which nothing is in memory. */
class ToldEnd implements LogEnd {
  private readonly waiting = new Set<() => void>();
  last = -1;
  closed = false;

  /** No event is in memory: all up to the last are read from the disk. */
  get oldest(): number {
    return this.last + 1;
  }

  at(position: number): RecordedEvent {
    throw new Error(`the event at ${position} is not in memory`);
  }

  moveTo(position: number): void {
    this.last = Math.max(this.last, position);
    this.wakeAll();
  }

  async past(position: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.last > position || this.closed || signal?.aborted === true) return;
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
    this.closed = true;
    this.wakeAll();
  }

  private wakeAll(): void {
    for (const wake of [...this.waiting]) wake();
  }
}

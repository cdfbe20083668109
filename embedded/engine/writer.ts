import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AppendOutcome } from './decisions';
import { EngineError } from './errors';
import type { LiveTail } from './live-tail';
import type { RecentIds } from './recent-ids';
import type { Storage } from './storage';
import type { StreamIndex } from './stream-index';
import { Transaction } from './transaction';

/** Of one LMDB transaction. */
const TRANSACTION_EVENTS_MAX = 4_096;
const TRANSACTION_BYTES_MAX = 16 * 1_048_576;
/** Appends that wait for their turn; above it they are refused at once. */
export const WAITING_APPENDS_MAX = 50_000;
const WAITING_BYTES_MAX = 256 * 1_048_576;

interface WriteRequest {
  readonly events: number;
  readonly bytes: number;
  decide(transaction: Transaction): AppendOutcome;
}

interface Waiting extends WriteRequest {
  readonly resolve: (outcome: AppendOutcome) => void;
  readonly reject: (error: EngineError) => void;
}

/**
 * The only writer of a store. What has gathered in one turn of the event loop is decided one after another,
 * each on the outcome of those before, and stored in one transaction; while that is on its way to the disk
 * the
 * next ones gather. Nobody hears of any of them, neither writer nor reader, before all are on the disk.
 */
export class Writer {
  private waiting: Waiting[] = [];
  private waitingBytes = 0;
  private running: Promise<void> | undefined;
  private closed = false;
  /** Memory and disk no longer agree; only opening the store again helps. */
  private broken = false;

  constructor(
    private readonly storage: Storage,
    private readonly index: StreamIndex,
    private readonly tail: LiveTail,
    private readonly recent: RecentIds,
    private readonly now: () => number,
  ) {}

  /** Rejects with an EngineError `closed`, `unwritable`, `overloaded` or `broken`. */
  submit(request: WriteRequest): Promise<AppendOutcome> {
    if (this.closed) return Promise.reject(new EngineError('closed', 'the event store is closed'));
    if (this.broken) {
      return Promise.reject(new EngineError('broken', 'the event store failed and has to be opened again'));
    }
    const crowded = this.waiting.length >= WAITING_APPENDS_MAX;
    if (crowded || this.waitingBytes + request.bytes > WAITING_BYTES_MAX) {
      return Promise.reject(new EngineError('overloaded', `${this.waiting.length} appends are waiting`));
    }
    return new Promise((resolve, reject) => {
      const { events, bytes } = request;
      const decide = request.decide.bind(request);
      this.waiting.push({ events, bytes, decide, resolve, reject });
      this.waitingBytes += bytes;
      this.running ??= this.run();
    });
  }

  /** Finishes what was submitted before, and refuses what comes after. */
  async close(): Promise<void> {
    this.closed = true;
    await this.running;
  }

  private async run(): Promise<void> {
    do {
      // Those who were answered just now, and whose requests lie in sockets, join the coming transaction.
      await nextTurn();
      await this.turn(this.take());
    } while (this.waiting.length > 0);
    this.running = undefined;
  }

  private take(): readonly Waiting[] {
    let [count, events, bytes] = [0, 0, 0];
    for (const request of this.waiting) {
      events += request.events;
      bytes += request.bytes;
      // One alone may be larger than the bounds.
      if (count > 0 && (events > TRANSACTION_EVENTS_MAX || bytes > TRANSACTION_BYTES_MAX)) break;
      count++;
      this.waitingBytes -= request.bytes;
    }
    const taken = this.waiting.slice(0, count);
    this.waiting = this.waiting.slice(count);
    return taken;
  }

  private async turn(requests: readonly Waiting[]): Promise<void> {
    const transaction = new Transaction(this.index, this.tail.last + 1, this.now());
    try {
      const outcomes = requests.map((request) => request.decide(transaction));
      await this.store(transaction);
      // Also a refusal may rest on an event of this very transaction, so it waits for the disk as well.
      requests.forEach(({ resolve }, n) => {
        resolve(outcomes[n] as AppendOutcome);
      });
    } catch (error) {
      const reason = this.recover(error);
      for (const { reject } of requests) reject(reason);
    }
  }

  /** Memory ran ahead of the disk: it is made anew from what the disk has. */
  private recover(error: unknown): EngineError {
    const reason = error instanceof Error ? error.message : String(error);
    try {
      if (this.index.restore() === this.tail.last) {
        // A transaction becomes valid by its very last write; as the log is no longer, nothing of it counts.
        return new EngineError('unwritable', `the event store cannot grow: ${reason}`, { cause: error });
      }
    } catch {
      // Falls through: what cannot be read is not known either.
    }
    // Appending onto a log that is longer than was reported could lose what is appended without a word.
    this.broken = true;
    return new EngineError('broken', `the event store failed: ${reason}`, { cause: error });
  }

  private async store(transaction: Transaction): Promise<void> {
    if (transaction.events.length === 0) return;
    const payment = this.index.payment(transaction.events.length, transaction.next);
    await this.storage.commit(() => {
      for (const { recorded, record } of transaction.events) {
        this.storage.appendRecord(recorded.position, record);
      }
      payment?.write();
    });
    payment?.done();
    const recorded = transaction.events.map((event) => event.recorded);
    for (const event of recorded) this.recent.add(event);
    this.tail.extend(recorded);
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import {
  AppendOutcomeUnknown,
  EventLogUnavailable,
  type EventLog,
  type NewEvent,
} from '../../src/application/ports/event-log';
import { asEventId, asRevision } from '../../src/kernel/ids';
import { batchOf } from './append-until-killed';

const TRY_AGAIN_MS = 30;

export interface AcknowledgedBatch {
  /** Of the writer's batches. */
  readonly n: number;
  /** Of the last event of it. */
  readonly revision: number;
  readonly position: bigint;
}

/**
 * A writer of batches to a stream of its own, in order, who does not let go: a batch whose outcome it does not know
 * is looked for in the stream, or handed over again.
 */
export class PersistentAppender {
  readonly acknowledged: AcknowledgedBatch[] = [];
  /** What must not be, in sentences. */
  readonly contradictions: string[] = [];
  /** Appends of which nobody knew at first whether they were stored. */
  unknown = 0;
  private head = -1;
  private stopping = false;
  private givenUp = false;
  private readonly running: Promise<void>;

  constructor(
    private readonly log: EventLog,
    readonly stream: string,
    private readonly seed: number,
    private readonly writer: number,
  ) {
    this.running = this.run();
  }

  /** Begins no new batch; resolves when the last one is acknowledged. */
  async settle(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  /** Ends without waiting for anything: for the end of a test that failed. */
  giveUp(): void {
    this.stopping = this.givenUp = true;
  }

  private async run(): Promise<void> {
    for (let n = 0; !this.stopping && !this.hopeless; n++) await this.append(n);
  }

  private get hopeless(): boolean {
    return this.givenUp || this.contradictions.length > 0;
  }

  private async append(n: number): Promise<void> {
    const events = batchOf(this.seed, this.writer, n).map((id): NewEvent => {
      const data = { writer: this.writer, n, filling: 'x'.repeat((n * 37) % 700) };
      return { id: asEventId(id), type: 'Tested', data, metadata: {} };
    });
    const last = this.head + events.length;
    while (!(await this.appended(n, events, last)) && !this.hopeless) await sleep(TRY_AGAIN_MS);
    this.head = last;
  }

  /** @returns whether the batch is acknowledged now */
  private async appended(n: number, events: readonly NewEvent[], last: number): Promise<boolean> {
    const expected = this.head === -1 ? 'noStream' : asRevision(BigInt(this.head));
    try {
      const result = await this.log.append(this.stream, events, { expected });
      if (result.kind !== 'appended' || Number(result.revision) !== last) {
        const found = result.kind === 'appended' ? result.revision : result.actual;
        this.contradictions.push(
          `batch ${n} of ${this.stream} ends at ${last}, told: ${result.kind} ${found}`,
        );
        return false;
      }
      this.acknowledged.push({ n, revision: last, position: result.position.commit });
      return true;
    } catch (error) {
      if (error instanceof AppendOutcomeUnknown) {
        this.unknown += 1;
        await this.look(n, events);
      } else if (!(error instanceof EventLogUnavailable)) throw error;
      return false;
    }
  }

  /** What is in the stream after the last acknowledged event is this batch, or nothing. */
  private async look(n: number, events: readonly NewEvent[]): Promise<void> {
    try {
      const from = asRevision(BigInt(this.head + 1));
      const read = await this.log.readStream(this.stream, { from, limit: 100 });
      const found = read.kind === 'events' ? read.events.map(({ id }) => id) : [];
      const whole = found.length === events.length && events.every(({ id }, k) => id === found[k]);
      if (found.length > 0 && !whole) {
        this.contradictions.push(`batch ${n} of ${this.stream} is there in part: ${found.join(', ')}`);
      }
    } catch (error) {
      if (!(error instanceof EventLogUnavailable)) throw error;
    }
  }
}

import {
  AppendOutcomeUnknown,
  EventLog,
  EventLogUnavailable,
  type AllRead,
  type AppendResult,
  type ExpectedRevision,
  type LogFilter,
  type NewEvent,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StreamRead,
  type SubscribeOptions,
  type SubscriptionItem,
} from '../../application/ports/event-log';
import type { Position } from '../../kernel/position';

/**
 * What happens to one append. `stored, unheard`: it is in the log, and the answer got lost. `lost`: it never
 * arrived, and nobody can tell. `late`: as lost, but it arrives after the caller has heard that it is unknown.
 */
export type AppendFault = 'none' | 'unavailable' | 'stored, unheard' | 'lost' | 'late' | 'bug';
export type ReadFault = 'none' | 'unavailable';

/** A log that fails as it is told to, for specs; and counts what it is asked. */
export class FaultyEventLog extends EventLog {
  /** Faults of the coming appends and reads of streams; none once they are used up. */
  appendFaults: AppendFault[] = [];
  readFaults: ReadFault[] = [];
  /** While true, every append and read rejects with EventLogUnavailable. */
  isDown = false;
  /** Awaited before an append goes to the log. */
  beforeAppend: (stream: string) => Promise<void> = () => Promise.resolve();
  /** Awaited before a stream is read. */
  beforeRead: (stream: string) => Promise<void> = () => Promise.resolve();
  /** Streams appended to and read, in order. */
  readonly appends: { readonly stream: string; readonly count: number }[] = [];
  readonly reads: { readonly stream: string; readonly limit: number }[] = [];
  private readonly late: Promise<unknown>[] = [];

  constructor(private readonly log: EventLog) {
    super();
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    this.appends.push({ stream, count: events.length });
    const fault = this.isDown ? 'unavailable' : (this.appendFaults.shift() ?? 'none');
    await this.beforeAppend(stream);
    switch (fault) {
      case 'none':
        return this.log.append(stream, events, options);
      case 'unavailable':
        throw new EventLogUnavailable('down');
      case 'stored, unheard':
        await this.log.append(stream, events, options);
        throw new AppendOutcomeUnknown('the connection broke after it was stored');
      case 'lost':
        throw new AppendOutcomeUnknown('the connection broke before it was stored');
      case 'late':
        this.late.push(this.appendLater(stream, events, options));
        throw new AppendOutcomeUnknown('it is still on its way');
      case 'bug':
        throw new TypeError('the adapter has a bug');
    }
  }

  async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    this.reads.push({ stream, limit: options.limit });
    const fault = this.isDown ? 'unavailable' : (this.readFaults.shift() ?? 'none');
    await this.beforeRead(stream);
    if (fault === 'unavailable') throw new EventLogUnavailable('down');
    return this.log.readStream(stream, options);
  }

  readAll(options: ReadAllOptions): Promise<AllRead> {
    return this.log.readAll(options);
  }

  subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    return this.log.subscribe(options);
  }

  head(): Promise<Position> {
    return this.log.head();
  }

  override headOf(filter: LogFilter): Promise<Position> {
    return this.log.headOf(filter);
  }

  setMaxCount(stream: string, maxCount: number): Promise<void> {
    return this.log.setMaxCount(stream, maxCount);
  }

  epoch(): Promise<string> {
    return this.log.epoch();
  }

  /** Resolves when appends that were `late` have arrived. */
  async settled(): Promise<void> {
    await Promise.all(this.late);
  }

  private async appendLater(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await this.log.append(stream, events, options);
  }
}

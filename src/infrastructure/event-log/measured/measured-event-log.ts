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
} from '../../../application/ports/event-log';
import type { Position } from '../../../kernel/position';
import type { Metrics } from '../../../observability/metrics';

/** Any event log, with its appends and reads counted and timed. Says nothing of what is in them. */
export class MeasuredEventLog extends EventLog {
  constructor(
    private readonly log: EventLog,
    private readonly metrics: Metrics,
  ) {
    super();
  }

  override async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    const startedAt = performance.now();
    const result = await this.counted(() => this.log.append(stream, events, options));
    if (result.kind === 'appended') {
      this.metrics.appends.inc();
      this.metrics.appendEvents.observe(events.length);
      this.metrics.appendMs.observe(performance.now() - startedAt);
    } else {
      this.metrics.appendConflicts.inc();
    }
    return result;
  }

  override readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    return this.read('stream', () => this.log.readStream(stream, options));
  }

  override readAll(options: ReadAllOptions): Promise<AllRead> {
    return this.read('all', () => this.log.readAll(options));
  }

  override subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    return this.log.subscribe(options);
  }

  override head(): Promise<Position> {
    return this.log.head();
  }

  override headOf(filter: LogFilter): Promise<Position> {
    return this.log.headOf(filter);
  }

  override headToFollow(filter: LogFilter): Promise<Position> {
    return this.log.headToFollow(filter);
  }

  override get away(): ReadonlySet<number> {
    return this.log.away;
  }

  override shardOf(stream: string): number {
    return this.log.shardOf(stream);
  }

  override setMaxCount(stream: string, maxCount: number): Promise<void> {
    return this.log.setMaxCount(stream, maxCount);
  }

  override get shards(): number {
    return this.log.shards;
  }

  override shard(number: number): EventLog {
    return new MeasuredEventLog(this.log.shard(number), this.metrics);
  }

  override epoch(): Promise<string> {
    return this.log.epoch();
  }

  override numbering(): Promise<string> {
    return this.log.numbering();
  }

  private async read<T>(operation: 'stream' | 'all', work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const result = await this.counted(work);
    this.metrics.logReadMs.observe({ operation }, performance.now() - startedAt);
    return result;
  }

  private async counted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof EventLogUnavailable || error instanceof AppendOutcomeUnknown) {
        this.metrics.storeFailures.inc({ store: 'log' });
      }
      throw error;
    }
  }
}

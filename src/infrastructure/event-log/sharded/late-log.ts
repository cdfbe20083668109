import {
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

/**
 * A log whose store has not said yet which one it is. Until it has, it is away: an append to a store that turns out to be
 * another one would be written where nobody looks for it.
 */
export class LateLog extends EventLog {
  private arrived: EventLog | undefined;

  arrive(log: EventLog): void {
    this.arrived = log;
  }

  override async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    return this.there().append(stream, events, options);
  }

  override async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    return this.there().readStream(stream, options);
  }

  override async readAll(options: ReadAllOptions): Promise<AllRead> {
    return this.there().readAll(options);
  }

  override async *subscribe(options: SubscribeOptions): AsyncGenerator<SubscriptionItem> {
    yield* this.there().subscribe(options);
  }

  override async head(): Promise<Position> {
    return this.there().head();
  }

  override async headOf(filter: LogFilter): Promise<Position> {
    return this.there().headOf(filter);
  }

  override async setMaxCount(stream: string, maxCount: number): Promise<void> {
    return this.there().setMaxCount(stream, maxCount);
  }

  override async epoch(): Promise<string> {
    return this.there().epoch();
  }

  override async numbering(): Promise<string> {
    return this.there().numbering();
  }

  private there(): EventLog {
    if (this.arrived === undefined)
      throw new EventLogUnavailable('no store has said yet that it is this one');
    return this.arrived;
  }
}

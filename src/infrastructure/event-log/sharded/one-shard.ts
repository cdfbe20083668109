import {
  EventLog,
  type AllRead,
  type AppendResult,
  type ExpectedRevision,
  type LogEvent,
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
 * One shard by itself, with places of its own, for whoever follows it alone. What it holds of streams that are placed
 * elsewhere is not shown, as in the whole.
 */
export class OneShard extends EventLog {
  constructor(
    private readonly log: EventLog,
    private readonly isShown: (event: LogEvent) => boolean,
    private readonly wholeEpoch: () => Promise<string>,
  ) {
    super();
  }

  override append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    return this.log.append(stream, events, options);
  }

  override readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    return this.log.readStream(stream, options);
  }

  override async readAll(options: ReadAllOptions): Promise<AllRead> {
    const page = await this.log.readAll(options);
    return { ...page, events: page.events.filter(this.isShown) };
  }

  override async *subscribe(options: SubscribeOptions): AsyncGenerator<SubscriptionItem, void, undefined> {
    for await (const item of this.log.subscribe(options)) {
      const isShown = item.kind !== 'event' || this.isShown(item.event);
      yield isShown ? item : { kind: 'checkpoint', position: item.event.position };
    }
  }

  override head(): Promise<Position> {
    return this.log.head();
  }

  override headOf(filter: LogFilter): Promise<Position> {
    return this.log.headOf(filter);
  }

  override setMaxCount(stream: string, maxCount: number): Promise<void> {
    return this.log.setMaxCount(stream, maxCount);
  }

  override epoch(): Promise<string> {
    return this.wholeEpoch();
  }

  override numbering(): Promise<string> {
    return this.log.numbering();
  }
}

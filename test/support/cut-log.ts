import {
  EventLogUnavailable,
  type AllRead,
  type LogFilter,
  type ReadAllOptions,
  type SubscribeOptions,
  type SubscriptionItem,
} from '../../src/application/ports/event-log';
import { FaultyEventLog } from '../../src/infrastructure/memory/faulty-event-log';
import type { Position } from '../../src/kernel/position';

/** A log to which the connection can be cut, and that counts what its subscribers take. */
export class CutLog extends FaultyEventLog {
  given = 0;
  private connection = new AbortController();

  cut(): void {
    this.isDown = true;
    this.connection.abort();
    this.connection = new AbortController();
  }

  mend(): void {
    this.isDown = false;
  }

  override async readAll(options: ReadAllOptions): Promise<AllRead> {
    if (this.isDown) throw new EventLogUnavailable('down');
    return super.readAll(options);
  }

  override async headOf(filter: LogFilter): Promise<Position> {
    if (this.isDown) throw new EventLogUnavailable('down');
    return super.headOf(filter);
  }

  override async *subscribe(options: SubscribeOptions): AsyncGenerator<SubscriptionItem> {
    if (this.isDown) throw new EventLogUnavailable('down');
    const { signal } = this.connection;
    const either = options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]);
    for await (const item of super.subscribe({ ...options, signal: either })) {
      this.given++;
      yield item;
    }
  }
}

/** What somebody sees of a log who has not got further than to an event. */
export class ReadUpTo extends FaultyEventLog {
  /** Commit of the last event that is seen; undefined: all of them. */
  upTo: bigint | undefined;

  override async readAll(options: ReadAllOptions): Promise<AllRead> {
    const { upTo } = this;
    const page = await super.readAll(options);
    if (upTo === undefined) return page;
    const events = page.events.filter(({ position }) => position.commit <= upTo);
    return { events, next: events.at(-1)?.position ?? options.after ?? page.next, endOfLog: true };
  }
}

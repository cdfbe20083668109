import type { Position } from '../../../src/kernel/position';
import type { CopiedEvent } from '../copy/copied-event';
import type { Side, SideAppend } from '../copy/side';

/**
 * Some streams of a store, as if there were no others: what a copy between shards reads from the one and finds in the
 * other. Its epoch is the store's own affair and does not go along.
 */
export class PartOfStore implements Side {
  constructor(
    private readonly whole: Side,
    private readonly isPart: (stream: string) => boolean,
  ) {}

  get place(): string {
    return this.whole.place;
  }

  head(): Promise<bigint> {
    return this.whole.head();
  }

  read(after?: Position): AsyncIterable<CopiedEvent> {
    return this.partOf(this.whole.read(after));
  }

  readBackwards(before?: Position): AsyncIterable<CopiedEvent> {
    return this.partOf(this.whole.readBackwards(before));
  }

  readStream(stream: string, from: bigint, limit: number): Promise<readonly CopiedEvent[]> {
    return this.whole.readStream(stream, from, limit);
  }

  lastRevision(stream: string): Promise<bigint | 'hidden' | undefined> {
    return this.whole.lastRevision(stream);
  }

  append(stream: string, events: readonly CopiedEvent[]): Promise<SideAppend> {
    return this.whole.append(stream, events);
  }

  tombstone(stream: string): Promise<void> {
    return this.whole.tombstone(stream);
  }

  epoch(): Promise<string | undefined> {
    return Promise.resolve(undefined);
  }

  setEpoch(): Promise<void> {
    return Promise.reject(new Error('a part of a store has no epoch of its own'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private async *partOf(events: AsyncIterable<CopiedEvent>): AsyncGenerator<CopiedEvent> {
    for await (const event of events) if (this.isPart(event.stream)) yield event;
  }
}

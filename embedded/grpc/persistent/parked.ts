import { randomUUID } from 'node:crypto';
import type { EmbeddedEventStore } from '../../engine/event-store';
import { everyStream, LINK_TYPE, originalOf, resolveLink, type ResolvedEvent } from '../links';
import type { Message } from './messages';
import { parkedStreamOf } from './settings';

/** A parked message, given out again. */
export interface Replayed {
  readonly parkedAt: number;
  readonly resolved: ResolvedEvent;
}

/**
 * Messages that nobody could process, as links in a stream of the group. One that is given out again leaves
 * the
 * stream only when it is settled: whatever breaks in between, it is still there.
 */
export class ParkedMessages {
  /** Revision after the last one; of the next one to be given out again; and before which all are gone. */
  private end = 0;
  private next = 0;
  private truncatedBefore = 0;
  private readonly unsettled = new Set<number>();
  private writing: Promise<void> | undefined;

  constructor(
    private readonly store: EmbeddedEventStore,
    private readonly name: string,
  ) {}

  static of(store: EmbeddedEventStore, key: string): ParkedMessages {
    return new ParkedMessages(store, parkedStreamOf(key));
  }

  /** Those that wait here, not those that were given out again. */
  get count(): number {
    return this.end - this.next;
  }

  async load(): Promise<void> {
    const page = await this.store.readStream(this.name, { from: 0, limit: 1 });
    if (page.kind !== 'events') return;
    this.end = page.head + 1;
    this.next = page.events[0]?.revision ?? this.end;
    this.truncatedBefore = this.next;
  }

  /** Resolves when the message is parked. @throws EngineError when it could not be */
  async park({ resolved }: Message, reason: string): Promise<void> {
    const { event } = resolved;
    const original = originalOf(resolved);
    // A link that leads nowhere is parked as the same link.
    const target = event === undefined ? original.data : `${event.revision}@${event.stream}`;
    const metadata = JSON.stringify({
      added: new Date().toISOString(),
      reason,
      subscriptionEventNumber: original.revision,
    });
    const parked = { id: randomUUID(), type: LINK_TYPE, isJson: false, data: target, metadata };
    const outcome = await this.store.append(this.name, [parked], 'any');
    if (outcome.kind !== 'appended') throw new Error(`nothing can be parked in ${this.name}`);
    // Of a group that was made again after it was deleted, revisions begin where they stopped.
    if (this.count === 0) this.next = outcome.revision;
    this.end = outcome.revision + 1;
  }

  /** Those before revision `stopAt`, or all there are now. One whose event is gone is settled at once. */
  async *replay(stopAt: number, batch: number): AsyncGenerator<Replayed, void, undefined> {
    const stop = Math.min(stopAt, this.end);
    while (this.next < stop) {
      const limit = Math.min(batch, stop - this.next);
      const page = await this.store.readStream(this.name, { from: this.next, limit });
      if (page.kind !== 'events' || page.events.length === 0) return;
      for (const link of page.events) {
        if (link.revision >= stop) return;
        const resolved = await resolveLink(this.store, link, everyStream);
        this.next = link.revision + 1;
        if (resolved.event === undefined) continue;
        this.unsettled.add(link.revision);
        yield { parkedAt: link.revision, resolved };
      }
    }
    this.flush();
  }

  settle(parkedAt: number): void {
    this.unsettled.delete(parkedAt);
    if (this.unsettled.size === 0) this.flush();
  }

  /** Lets go of what was settled, oldest first. */
  flush(): void {
    const before = this.unsettled.size === 0 ? this.next : Math.min(...this.unsettled);
    if (before <= this.truncatedBefore || this.writing !== undefined) return;
    this.writing = this.truncate(before).finally(() => {
      this.writing = undefined;
    });
  }

  /** Until what was let go of is on the disk. */
  async settled(): Promise<void> {
    await this.writing;
  }

  async remove(): Promise<void> {
    await this.writing;
    const page = await this.store.readStream(this.name, { direction: 'backwards', limit: 1 });
    if (page.kind === 'events') await this.store.deleteStream(this.name, 'any');
  }

  private async truncate(before: number): Promise<void> {
    try {
      await this.store.setStreamMetadata(this.name, { $tb: before }, 'any');
      this.truncatedBefore = before;
    } catch {
      // Tried again with the next; until then a restart counts them as parked still.
    }
  }
}

import { EmbeddedEventStore } from '../../../embedded/engine/event-store';
import { READ_EVENTS_MAX } from '../../../embedded/engine/reader';
import type { RecordedEvent } from '../../../embedded/engine/record';
import type { Position } from '../../../src/kernel/position';
import { isCopied, TOMBSTONE_TYPE, type CopiedEvent } from './copied-event';
import type { Side, SideAppend } from './side';

/** The engine in a folder that nobody else has open. */
export class EngineSide implements Side {
  readonly place: string;

  private constructor(
    path: string,
    private readonly store: EmbeddedEventStore,
  ) {
    this.place = path;
  }

  /** @throws InstanceRunning, EngineError */
  static async open(path: string): Promise<EngineSide> {
    return new EngineSide(path, await EmbeddedEventStore.open({ path }));
  }

  head(): Promise<bigint> {
    return Promise.resolve(BigInt(this.store.head));
  }

  read(after?: Position): AsyncIterable<CopiedEvent> {
    return this.pages('forwards', after);
  }

  readBackwards(before?: Position): AsyncIterable<CopiedEvent> {
    return this.pages('backwards', before);
  }

  async readStream(stream: string, from: bigint, limit: number): Promise<readonly CopiedEvent[]> {
    const page = await this.store.readStream(stream, { from: Number(from), limit });
    return page.kind === 'events' ? page.events.map(copiedOf) : [];
  }

  async lastRevision(stream: string): Promise<bigint | 'hidden' | undefined> {
    const page = await this.store.readStream(stream, { direction: 'backwards', limit: 1 });
    const last = page.kind === 'events' ? page.events[0] : undefined;
    if (last !== undefined) return BigInt(last.revision);
    const settings = await this.store.streamMetadata(stream);
    return page.kind === 'streamNotFound' && settings === undefined ? undefined : 'hidden';
  }

  async append(stream: string, events: readonly CopiedEvent[]): Promise<SideAppend> {
    const first = Number(events[0]?.revision ?? 0n);
    const outcome = await this.store.append(stream, events, first === 0 ? 'noStream' : first - 1);
    switch (outcome.kind) {
      case 'appended':
        return { kind: 'appended' };
      case 'wrongExpectedRevision':
        return { kind: 'elsewhere', head: BigInt(outcome.actual ?? -1) };
      case 'streamDeleted':
        return { kind: 'deleted' };
    }
  }

  async tombstone(stream: string): Promise<void> {
    await this.store.tombstoneStream(stream, 'any');
  }

  epoch(): Promise<string | undefined> {
    return Promise.resolve(this.store.epoch);
  }

  async setEpoch(epoch: string): Promise<void> {
    await this.store.setEpoch(epoch);
  }

  close(): Promise<void> {
    return this.store.close();
  }

  private async *pages(direction: 'forwards' | 'backwards', from?: Position): AsyncGenerator<CopiedEvent> {
    for (let after = from === undefined ? undefined : Number(from.commit); ;) {
      const options = { direction, limit: READ_EVENTS_MAX, ...(after === undefined ? {} : { after }) };
      const page = await this.store.readAll(options);
      for (const event of page.events) if (isCopied(event.stream)) yield copiedOf(event);
      if (page.endOfLog) return;
      after = page.next;
    }
  }
}

function copiedOf(event: RecordedEvent): CopiedEvent {
  const { stream, id, type, isJson, data, metadata, created } = event;
  const position = { commit: BigInt(event.position), prepare: BigInt(event.position) };
  // A tombstone's revision is its engine's own; none comes after it in any.
  const revision = type === TOMBSTONE_TYPE ? -1n : BigInt(event.revision);
  return { stream, revision, position, id, type, isJson, data, metadata, created };
}

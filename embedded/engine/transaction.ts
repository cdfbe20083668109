import { encodeRecord, RecordedEvent, sealRecord, TOMBSTONE_REVISION, type EngineEvent } from './record';
import type { StreamIndex } from './stream-index';
import type { StreamState } from './stream-state';

/** An event with its record, complete but for its place. */
export interface EncodedEvent {
  readonly event: EngineEvent;
  readonly stream: string;
  readonly record: Buffer;
}

export const encodeEvent = (stream: string, event: EngineEvent): EncodedEvent => ({
  event,
  stream,
  record: encodeRecord(stream, event),
});

/** What one turn of the writer adds to the log: the events of all appends that had gathered. */
export class Transaction {
  readonly events: { readonly recorded: RecordedEvent; readonly record: Buffer }[] = [];
  private readonly byId = new Map<string, RecordedEvent>();

  constructor(
    private readonly index: StreamIndex,
    private nextPosition: number,
    private readonly now: number,
  ) {}

  get next(): number {
    return this.nextPosition;
  }

  find(stream: string): StreamState | undefined {
    return this.index.find(stream);
  }

  /** The event at a revision, of this transaction or stored. */
  positionOf(state: StreamState, revision: number): number | undefined {
    return this.index.positionOf(state, revision);
  }

  /** Undefined: not of this transaction. */
  at(position: number): RecordedEvent | undefined {
    return this.events[position - (this.nextPosition - this.events.length)]?.recorded;
  }

  /** Undefined: not of this transaction. */
  withId(id: string): RecordedEvent | undefined {
    return this.byId.get(id);
  }

  /** Gives the event the next place of its stream and of the log. */
  append(encoded: EncodedEvent): RecordedEvent {
    const head = this.index.find(encoded.stream)?.head ?? -1;
    return this.add(encoded, head + 1);
  }

  /** Gives the event the place after which there is none. */
  appendTombstone(encoded: EncodedEvent): RecordedEvent {
    return this.add(encoded, TOMBSTONE_REVISION);
  }

  private add(encoded: EncodedEvent, revision: number): RecordedEvent {
    sealRecord(encoded.record, revision, this.now);
    const recorded = new RecordedEvent(this.nextPosition++, encoded.record, encoded);
    this.events.push({ recorded, record: encoded.record });
    this.byId.set(recorded.id, recorded);
    this.index.account(recorded);
    return recorded;
  }
}

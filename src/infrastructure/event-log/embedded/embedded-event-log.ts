import type { EmbeddedEventStore } from '../../../../embedded/engine/event-store';
import { EngineError } from '../../../../embedded/engine/errors';
import type { RecordedEvent } from '../../../../embedded/engine/record';
import {
  AppendOutcomeUnknown,
  AppendTooLarge,
  EventLog,
  EventLogUnavailable,
  StreamDeletedError,
  type AllRead,
  type AppendResult,
  type ExpectedRevision,
  type LogEvent,
  type NewEvent,
  type ReadAllOptions,
  type ReadStreamOptions,
  type StreamRead,
  type SubscribeOptions,
  type SubscriptionItem,
} from '../../../application/ports/event-log';
import { asRevision, type Revision } from '../../../kernel/ids';
import type { Position } from '../../../kernel/position';
import { upcast } from '../upcasters/upcast';

/** The port over the engine in this process. */
export class EmbeddedEventLog extends EventLog {
  constructor(private readonly store: EmbeddedEventStore) {
    super();
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    if (events.length === 0) throw new RangeError('an append has at least one event');
    const stored = events.map(({ id, type, data, dataText, metadata }) => ({
      id,
      type,
      isJson: true,
      data: dataText ?? JSON.stringify(data),
      metadata: JSON.stringify(metadata),
      parsed: { data, metadata },
    }));
    const { expected } = options;
    const revision = typeof expected === 'bigint' ? Number(expected) : expected;
    const outcome = await translated(() => this.store.append(stream, stored, revision));
    switch (outcome.kind) {
      case 'appended':
        return {
          kind: 'appended',
          revision: revisionOf(outcome.revision),
          position: positionOf(outcome.position),
        };
      case 'wrongExpectedRevision': {
        const actual = outcome.actual === undefined ? undefined : revisionOf(outcome.actual);
        return { kind: 'wrongExpectedRevision', actual };
      }
      case 'streamDeleted':
        throw new StreamDeletedError(`the stream ${stream} was deleted for ever`);
    }
  }

  async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    const { from, direction, limit } = options;
    const page = await translated(() =>
      this.store.readStream(stream, {
        limit,
        ...(from === undefined ? {} : { from: Number(from) }),
        ...(direction === undefined ? {} : { direction }),
      }),
    );
    if (page.kind !== 'events') return page;
    return {
      kind: 'events',
      events: page.events.map(toLogEvent),
      more: page.more,
      ...(page.truncatedBefore === undefined ? {} : { truncatedBefore: revisionOf(page.truncatedBefore) }),
    };
  }

  async readAll(options: ReadAllOptions): Promise<AllRead> {
    const { after, ...others } = options;
    const page = await translated(() =>
      this.store.readAll({ ...others, ...(after === undefined ? {} : { after: numberOf(after) }) }),
    );
    return { events: page.events.map(toLogEvent), next: positionOf(page.next), endOfLog: page.endOfLog };
  }

  subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    return subscribeThrough(this.store, options);
  }

  async head(): Promise<Position> {
    await Promise.resolve();
    return positionOf(this.store.head);
  }

  async setMaxCount(stream: string, maxCount: number): Promise<void> {
    await translated(() => this.store.setStreamMetadata(stream, { $maxCount: maxCount }, 'any'));
  }

  async epoch(): Promise<string> {
    await Promise.resolve();
    return this.store.epoch;
  }

  override async numbering(): Promise<string> {
    await Promise.resolve();
    return `${this.store.epoch}@${this.store.numbering}`;
  }
}

/** The port's subscription over the engine's, whichever thread reads it. */
export function subscribeThrough(
  store: Pick<EmbeddedEventStore, 'subscribeToAll'>,
  { after, filter, signal }: SubscribeOptions,
): AsyncIterable<SubscriptionItem> {
  const items = store.subscribeToAll({
    after: after === 'start' ? -1 : after === 'end' ? 'end' : numberOf(after),
    ...(filter === undefined ? {} : { filter }),
    ...(signal === undefined ? {} : { signal }),
  });
  return follow(items);
}

async function* follow(
  items: ReturnType<EmbeddedEventStore['subscribeToAll']>,
): AsyncGenerator<SubscriptionItem, void, undefined> {
  for await (const item of items) {
    // That it was slow for a while is of no use to a reader: it is told again when it has caught up.
    if (item.kind === 'fellBehind') continue;
    yield item.kind === 'event'
      ? { kind: 'event', event: toLogEvent(item.event) }
      : { kind: item.kind, position: positionOf(item.position) };
  }
}

const revisionOf = (revision: number): Revision => asRevision(BigInt(revision));

/** The engine counts events; EventStoreDB's two numbers are the same for a log without multi-event records. */
function positionOf(position: number): Position {
  const value = BigInt(position);
  return { commit: value, prepare: value };
}

const numberOf = (position: Position): number => Number(position.commit);

function toLogEvent(event: RecordedEvent): LogEvent {
  const stored = upcast(event.type, event.dataJson, event.metadataJson);
  return {
    stream: event.stream,
    revision: revisionOf(event.revision),
    position: positionOf(event.position),
    id: event.id,
    type: stored.type,
    data: stored.data,
    metadata: stored.metadata,
    created: event.created,
  };
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof EngineError ? translate(error) : error;
  }
}

function translate(error: EngineError): Error {
  switch (error.kind) {
    case 'closed':
    case 'unwritable':
    case 'overloaded':
      return new EventLogUnavailable(error.message, { cause: error });
    case 'broken':
      return new AppendOutcomeUnknown(error.message, { cause: error });
    case 'tooLarge':
      return new AppendTooLarge(error.message, { cause: error });
    case 'invalid':
      return new RangeError(error.message, { cause: error });
    case 'corrupt':
    case 'newerFormat':
      return error;
  }
}

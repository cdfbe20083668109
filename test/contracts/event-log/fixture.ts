import { randomUUID } from 'node:crypto';
import type {
  EventLog,
  LogEvent,
  NewEvent,
  SubscriptionItem,
} from '../../../src/application/ports/event-log';
import { shardOf } from '../../../src/kernel/position';
import { asEventId, asRevision, type Revision } from '../../../src/kernel/ids';

/** One log under test. A test never assumes that it starts empty: real stores do not. */
export interface OpenedLog {
  readonly log: EventLog;
  /** Closes this one and opens the same stored log again; absent when the adapter keeps nothing. */
  reopen?(): Promise<EventLog>;
  /** Ends the adapter, the reopened one too: subscriptions end, later calls reject with EventLogUnavailable. */
  close(): Promise<void>;
}

export type LogFactory = () => Promise<OpenedLog>;
/** The log of the running test. */
export type CurrentLog = () => OpenedLog;

/** A stream name no other test, and no earlier run against the same store, has used. */
export const freshStream = (prefix = 'contract'): string => `${prefix}-${randomUUID()}`;

export function newEvent(data: object = {}, type = 'Tested', metadata: object = {}): NewEvent {
  return { id: asEventId(randomUUID()), type, data, metadata };
}

export const newEvents = (count: number, type = 'Tested'): NewEvent[] =>
  Array.from({ length: count }, (_, n) => newEvent({ n }, type));

export const revision = (value: number): Revision => asRevision(BigInt(value));

/**
 * The events as one list a shard, which is what has an order: of a log in one piece there is one list, whatever the
 * streams. Two readings are alike when these are.
 */
export function byShard(events: readonly LogEvent[]): string[][] {
  const lists: string[][] = [];
  for (const { id, position } of events) (lists[shardOf(position)] ??= []).push(id);
  return lists;
}

/** The events that have these ids, in the order of the ids. */
export function inOrderOf(ids: readonly string[], events: readonly LogEvent[]): LogEvent[] {
  const known = new Map(events.map((event) => [event.id as string, event]));
  return ids.map((id) => {
    const event = known.get(id);
    if (event === undefined) throw new Error(`the event ${id} is missing`);
    return event;
  });
}

export const idsOf = (events: readonly { readonly id: string }[]): string[] => events.map(({ id }) => id);

/** The events of a read that has to find the stream. */
export async function eventsOf(
  log: EventLog,
  stream: string,
  options: { from?: Revision; direction?: 'forwards' | 'backwards'; limit?: number } = {},
): Promise<readonly LogEvent[]> {
  const read = await log.readStream(stream, { limit: 1_000, ...options });
  if (read.kind !== 'events') throw new Error(`${stream}: ${read.kind}`);
  return read.events;
}

/** Reads items until `enough` says so, then ends the subscription. */
export async function collect(
  items: AsyncIterable<SubscriptionItem>,
  enough: (item: SubscriptionItem, events: readonly LogEvent[]) => boolean,
): Promise<{ readonly items: SubscriptionItem[]; readonly events: LogEvent[] }> {
  const seen: SubscriptionItem[] = [];
  const events: LogEvent[] = [];
  for await (const item of items) {
    seen.push(item);
    if (item.kind === 'event') events.push(item.event);
    if (enough(item, events)) break;
  }
  return { items: seen, events };
}

export const caughtUp = (item: SubscriptionItem): boolean => item.kind === 'caughtUp';

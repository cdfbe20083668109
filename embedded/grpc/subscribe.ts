import { randomUUID } from 'node:crypto';
import { ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import { TOMBSTONE_TYPE, type RecordedEvent } from '../engine/record';
import { streamDeleted } from './errors';
import type { Outbound } from './outbound';
import type { LogTarget, StreamTarget } from './read-request';
import { eventResponse } from './wire';

const PAGE_EVENTS_MAX = 64;

export interface Subscription {
  readonly store: EmbeddedEventStore;
  readonly outbound: Outbound<ReadResp>;
  readonly structuredIds: boolean;
}

const confirmation = (): ReadResp =>
  new ReadResp().setConfirmation(new ReadResp.SubscriptionConfirmation().setSubscriptionId(randomUUID()));

const caughtUp = (): ReadResp => new ReadResp().setCaughtUp(new ReadResp.CaughtUp());

const checkpoint = (position: number): ReadResp =>
  new ReadResp().setCheckpoint(
    new ReadResp.Checkpoint().setCommitPosition(String(position)).setPreparePosition(String(position)),
  );

/**
 * Every event after the position, exclusively, stored and then live, until the client goes or the store closes.
 * A checkpoint comes after so many events looked at as the client asked, and whenever the end of the log is
 * reached without an event to send: who subscribes to little need not begin again far back.
 */
export async function subscribeToLog(subscription: Subscription, target: LogTarget): Promise<void> {
  const { store, outbound, structuredIds } = subscription;
  const { from, filter, checkpointEvents } = target;
  const after = from === 'start' ? -1 : from;
  const items = store.subscribeToAll({
    after,
    signal: outbound.signal,
    ...(filter === undefined ? {} : { filter }),
  });
  if (!(await outbound.send(confirmation()))) return;
  let reported = after === 'end' ? store.head : Math.min(after, store.head);
  for await (const item of items) {
    if (outbound.gone) return;
    switch (item.kind) {
      case 'event': {
        const { position } = item.event;
        if (!(await outbound.send(eventResponse(item.event, structuredIds)))) return;
        if (filter === undefined || position - reported < checkpointEvents) break;
        reported = position;
        await outbound.send(checkpoint(position));
        break;
      }
      case 'checkpoint':
        // Without a filter every event is a checkpoint of its own.
        if (filter === undefined) break;
        if (item.position - reported < checkpointEvents && item.position < store.head) break;
        reported = item.position;
        await outbound.send(checkpoint(item.position));
        break;
      case 'caughtUp':
        await outbound.send(caughtUp());
        break;
    }
  }
}

/** As {@link subscribeToLog}, for one stream; it need not exist yet. */
export async function subscribeToStream(subscription: Subscription, target: StreamTarget): Promise<void> {
  const { store, outbound } = subscription;
  const { stream } = target;
  let after = await startOf(store, target);
  if (!(await outbound.send(confirmation()))) return;
  // What is appended after this position is found by following the log from it: read before the last page is, so
  // that nothing falls between the two; what is in both has a revision that was sent already.
  let seam = store.head;
  for (;;) {
    seam = store.head;
    const page = await store.readStream(stream, { from: after + 1, limit: PAGE_EVENTS_MAX });
    if (page.kind === 'streamDeleted') throw streamDeleted(stream);
    if (page.kind === 'streamNotFound') break;
    for (const event of page.events) {
      if (!(await deliver(subscription, event))) return;
      after = event.revision;
    }
    if (!page.more) break;
  }
  const filter = { streamPrefixes: [stream] };
  for await (const item of store.subscribeToAll({ after: seam, filter, signal: outbound.signal })) {
    if (item.kind === 'caughtUp') await outbound.send(caughtUp());
    if (item.kind !== 'event' || item.event.stream !== stream || item.event.revision <= after) continue;
    if (item.event.type === TOMBSTONE_TYPE) throw streamDeleted(stream);
    if (!(await deliver(subscription, item.event))) return;
    after = item.event.revision;
  }
}

const deliver = ({ outbound, structuredIds }: Subscription, event: RecordedEvent): Promise<boolean> =>
  outbound.send(eventResponse(event, structuredIds));

/** The revision after which events are wanted. @throws CallError when the stream has a tombstone */
async function startOf(store: EmbeddedEventStore, target: StreamTarget): Promise<number> {
  const page = await store.readStream(target.stream, { direction: 'backwards', limit: 1 });
  if (page.kind === 'streamDeleted') throw streamDeleted(target.stream);
  if (target.from === 'start') return -1;
  if (target.from !== 'end') return target.from;
  return page.kind === 'events' ? page.head : -1;
}

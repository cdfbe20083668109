import { randomUUID } from 'node:crypto';
import { ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import type { RecordedEvent } from '../engine/record';
import { streamDeleted } from './errors';
import type { ResolvedEvent } from './links';
import type { Outbound } from './outbound';
import type { LogTarget, StreamTarget } from './read-request';
import { eventResponse } from './wire';

export interface Subscription {
  readonly store: EmbeddedEventStore;
  readonly outbound: Outbound<ReadResp>;
  readonly structuredIds: boolean;
  /** Follows links, when the client asked for it. */
  readonly resolve: (event: RecordedEvent) => Promise<ResolvedEvent>;
}

const confirmation = (): ReadResp =>
  new ReadResp().setConfirmation(new ReadResp.SubscriptionConfirmation().setSubscriptionId(randomUUID()));

const caughtUp = (): ReadResp => new ReadResp().setCaughtUp(new ReadResp.CaughtUp());
const fellBehind = (): ReadResp => new ReadResp().setFellBehind(new ReadResp.FellBehind());

const checkpoint = (position: number): ReadResp =>
  new ReadResp().setCheckpoint(
    new ReadResp.Checkpoint().setCommitPosition(String(position)).setPreparePosition(String(position)),
  );

/**
 * Every event after the position, exclusively, stored and then live, until the client goes or the store
 * closes.
 * A checkpoint comes after so many events looked at as the client asked, and whenever the end of the log is
 * reached without an event to send: who subscribes to little need not begin again far back.
 */
export async function subscribeToLog(subscription: Subscription, target: LogTarget): Promise<void> {
  const { store, outbound } = subscription;
  const { from, filter, checkpointEvents } = target;
  const after = from === 'start' ? -1 : from;
  const items = store.subscribeToAll({
    after,
    signal: outbound.signal,
    ...(filter === undefined ? {} : { filter }),
  });
  let reported = after === 'end' ? store.head : Math.min(after, store.head);
  // In the turn in which the beginning was chosen: who was confirmed "from the end" misses nothing after it.
  if (!(await outbound.send(confirmation()))) return;
  for await (const item of items) {
    if (outbound.gone) return;
    switch (item.kind) {
      case 'event': {
        const { position } = item.event;
        if (!(await deliver(subscription, item.event))) return;
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
      case 'fellBehind':
        await outbound.send(fellBehind());
        break;
    }
  }
}

/**
 * As {@link subscribeToLog}, for one stream; it need not exist yet. @throws CallError when it has a tombstone
 */
export async function subscribeToStream(subscription: Subscription, target: StreamTarget): Promise<void> {
  const { store, outbound } = subscription;
  const { stream, from } = target;
  const after = from === 'start' ? -1 : from;
  const items = store.subscribeToStream(stream, { after, signal: outbound.signal });
  if (!(await outbound.send(confirmation()))) return;
  for await (const item of items) {
    if (outbound.gone) return;
    switch (item.kind) {
      case 'event':
        if (!(await deliver(subscription, item.event))) return;
        break;
      case 'caughtUp':
        await outbound.send(caughtUp());
        break;
      case 'fellBehind':
        await outbound.send(fellBehind());
        break;
      case 'deleted':
        throw streamDeleted(stream);
    }
  }
}

async function deliver(subscription: Subscription, event: RecordedEvent): Promise<boolean> {
  const { outbound, structuredIds, resolve } = subscription;
  return outbound.send(eventResponse(await resolve(event), structuredIds));
}

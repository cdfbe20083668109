import { setImmediate as nextTurn } from 'node:timers/promises';
import { ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import type { RecordedEvent } from '../engine/record';
import { streamDeleted } from './errors';
import type { ResolvedEvent } from './links';
import type { Outbound } from './outbound';
import type { LogTarget, ReadRequest, StreamTarget } from './read-request';
import { eventResponse, streamIdentifierOf } from './wire';

/** Events taken from the store at a time; what one read holds at most while its client is slow. */
const PAGE_EVENTS_MAX = 64;

/** What a read may use of its request: `count` events at most, in one direction. */
interface Reading {
  readonly store: EmbeddedEventStore;
  readonly outbound: Outbound<ReadResp>;
  readonly request: ReadRequest;
  readonly count: number;
  /** Follows links, when the client asked for it. */
  readonly resolve: (event: RecordedEvent) => Promise<ResolvedEvent>;
}

/** Sends a stream's events, or says that there is no such stream. @throws CallError, EngineError */
export async function readStream(reading: Reading, target: StreamTarget): Promise<void> {
  const { store, outbound, request, count, resolve } = reading;
  const { backwards } = request;
  const direction = backwards ? 'backwards' : 'forwards';
  // From the end forwards, or from the start backwards, there is at most what stands exactly there.
  let from = target.from === 'start' ? 0 : target.from === 'end' ? undefined : target.from;
  let left = count;
  for (;;) {
    const fromEnd = from === undefined ? {} : { from };
    const limit = Math.min(Math.max(left, 1), PAGE_EVENTS_MAX);
    const page = await store.readStream(target.stream, { direction, limit, ...fromEnd });
    if (page.kind === 'streamDeleted') throw streamDeleted(target.stream);
    if (page.kind === 'streamNotFound') {
      const missing = new ReadResp.StreamNotFound().setStreamIdentifier(streamIdentifierOf(target.stream));
      await outbound.send(new ReadResp().setStreamNotFound(missing));
      return;
    }
    if (!backwards && target.from === 'end') return;
    for (const event of page.events.slice(0, left)) {
      if (!(await outbound.send(eventResponse(await resolve(event), request.structuredIds)))) return;
    }
    left -= page.events.length;
    const last = page.events.at(-1);
    if (!page.more || left <= 0 || last === undefined) return;
    from = backwards ? last.revision - 1 : last.revision + 1;
    await nextTurn();
  }
}

/**
 * Sends events of the whole log. Forwards a position is inclusive, backwards exclusive, as in EventStoreDB:
 * there a
 * position is the edge before its event.
 */
export async function readLog(reading: Reading, target: LogTarget): Promise<void> {
  const { store, outbound, request, count, resolve } = reading;
  const direction = request.backwards ? 'backwards' : 'forwards';
  let after = edgeOf(target.from, request.backwards, store.head);
  let left = count;
  while (left > 0 && !outbound.gone) {
    const filter = target.filter === undefined ? {} : { filter: target.filter };
    const limit = Math.min(left, PAGE_EVENTS_MAX);
    const page = await store.readAll({ direction, limit, after, ...filter });
    for (const event of page.events) {
      if (!(await outbound.send(eventResponse(await resolve(event), request.structuredIds)))) return;
    }
    left -= page.events.length;
    if (page.endOfLog) return;
    after = page.next;
    // A filter that lets little through must not keep others from their turns.
    await nextTurn();
  }
}

/** The engine's exclusive position. */
function edgeOf(from: LogTarget['from'], backwards: boolean, head: number): number {
  if (from === 'start') return backwards ? 0 : -1;
  if (from === 'end') return backwards ? head + 1 : head;
  return backwards ? from : from - 1;
}

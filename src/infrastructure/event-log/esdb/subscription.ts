import type { ClientReadableStream } from '@grpc/grpc-js';
import type { ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { LogEvent, SubscribeOptions, SubscriptionItem } from '../../../application/ports/event-log';
import { comparePositions, hasPassed, POSITION_START, type Position } from '../../../kernel/position';
import type { EsdbConnection } from './connection';
import { EPOCH_STREAM } from './epoch';
import { isGoneAway, readFailure } from './failures';
import { subscribeRequest } from './read-requests';
import { logEventOf, positionOf } from './recorded-event';
import type { StreamNames } from './stream-names';

/**
 * The port's subscription over the server's. Answers are taken one at a time; while the reader is busy the server
 * is kept waiting by flow control, so that no more is held here than a few messages.
 */
export async function* subscribeToLog(
  connection: EsdbConnection,
  names: StreamNames,
  head: () => Promise<Position>,
  options: SubscribeOptions,
): AsyncGenerator<SubscriptionItem, void, undefined> {
  const before = connection.isClosed;
  try {
    yield* follow(connection, names, head, options);
  } catch (error) {
    // The end of a subscription that this program ends, also of one that was only just beginning, is no error.
    if (options.signal?.aborted !== true && before === connection.isClosed) throw error;
  }
}

async function* follow(
  connection: EsdbConnection,
  names: StreamNames,
  head: () => Promise<Position>,
  options: SubscribeOptions,
): AsyncGenerator<SubscriptionItem, void, undefined> {
  const { after, filter, signal } = options;
  const ended = (): boolean => signal?.aborted === true;
  if (ended()) return;
  // The server does not say where it is when it says that there is nothing more: at least here, as this was the
  // end before the subscription began.
  const end = await head();
  const onServer = names.filterOnServer(filter);
  const call = await connection.open((client, metadata, callOptions): ClientReadableStream<ReadResp> =>
    client.read(subscribeRequest(after, onServer.filter), metadata, callOptions),
  );
  const cancel = (): void => {
    call.cancel();
  };
  signal?.addEventListener('abort', cancel, { once: true });
  const begin = after === 'start' ? POSITION_START : after === 'end' ? end : after;
  const hidden = (event: LogEvent): boolean =>
    (filter === undefined && event.stream === EPOCH_STREAM) || !onServer.passes(event);
  const reading = new Reading(begin, end, names, hidden);
  try {
    if (ended()) return;
    for await (const response of call) {
      const item = reading.item(response as ReadResp);
      if (item !== undefined) yield item;
      if (ended()) return;
    }
  } catch (error) {
    // The reader's end, this program's end or the server's: in each case the reader decides what comes next.
    if (!isGoneAway(error)) throw readFailure(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

/** Where a subscription stands; positions it reports never fall. */
class Reading {
  constructor(
    private at: Position,
    private readonly end: Position,
    private readonly names: StreamNames,
    private readonly hidden: (event: LogEvent) => boolean,
  ) {}

  item(response: ReadResp): SubscriptionItem | undefined {
    const resolved = response.getEvent();
    if (resolved !== undefined) {
      const event = logEventOf(resolved, this.names);
      if (event === undefined || comparePositions(event.position, this.at) !== 1) return undefined;
      this.at = event.position;
      return this.hidden(event) ? { kind: 'checkpoint', position: this.at } : { kind: 'event', event };
    }
    const checkpoint = response.getCheckpoint();
    if (checkpoint !== undefined) {
      const position = positionOf(checkpoint);
      if (comparePositions(position, this.at) !== 1) return undefined;
      this.at = position;
      return { kind: 'checkpoint', position };
    }
    if (!response.hasCaughtUp()) return undefined;
    if (hasPassed(this.end, this.at)) this.at = this.end;
    return { kind: 'caughtUp', position: this.at };
  }
}

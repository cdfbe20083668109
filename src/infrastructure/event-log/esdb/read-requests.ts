import { Empty, StreamIdentifier } from '@eventstore/db-client/generated/shared_pb';
import { ReadReq } from '@eventstore/db-client/generated/streams_pb';
import type { LogFilter } from '../../../application/ports/event-log';
import type { Revision } from '../../../kernel/ids';
import type { Position } from '../../../kernel/position';

type Direction = 'forwards' | 'backwards';

/** Not the store's own streams: their names begin with a dollar sign. */
const NOT_OF_THE_SYSTEM = '^[^$]';
/** Events the server looks at before it reports how far it is, to a subscriber to whom it has nothing to send. */
const CHECKPOINT_EVENTS = 32;
/** As the official client asks for everything. */
const COUNT_MAX = String(Number.MAX_SAFE_INTEGER);

export const streamIdentifier = (stream: string): StreamIdentifier =>
  new StreamIdentifier().setStreamName(Buffer.from(stream));

function optionsOf(direction: Direction): ReadReq.Options {
  return new ReadReq.Options()
    .setReadDirection(ReadReq.Options.ReadDirection[direction === 'forwards' ? 'FORWARDS' : 'BACKWARDS'])
    .setResolveLinks(false)
    .setUuidOption(new ReadReq.Options.UUIDOption().setString(new Empty()));
}

/** @param from inclusive; undefined: the start forwards, the end backwards */
export function streamReadRequest(
  stream: string,
  direction: Direction,
  from: Revision | undefined,
  count: number,
): ReadReq {
  const target = new ReadReq.Options.StreamOptions().setStreamIdentifier(streamIdentifier(stream));
  if (from !== undefined) target.setRevision(from.toString());
  else if (direction === 'forwards') target.setStart(new Empty());
  else target.setEnd(new Empty());
  const options = optionsOf(direction).setStream(target).setCount(String(count)).setNoFilter(new Empty());
  return new ReadReq().setOptions(options);
}

/** @param from as the server takes it: inclusive forwards, exclusive backwards */
export function logReadRequest(
  direction: Direction,
  from: Position | 'start' | 'end',
  count: number,
  filter: LogFilter | undefined,
): ReadReq {
  const options = optionsOf(direction).setAll(allFrom(from)).setCount(String(count));
  return new ReadReq().setOptions(options.setFilter(filterOf(filter)));
}

/** All that there is in streams whose names match, for a reader who takes it at its own pace. */
export function rawReadRequest(
  direction: Direction,
  from: Position | undefined,
  streamRegex: string,
): ReadReq {
  const begin = from ?? (direction === 'forwards' ? 'start' : 'end');
  const expression = new ReadReq.Options.FilterOptions.Expression().setRegex(streamRegex);
  const filter = new ReadReq.Options.FilterOptions()
    .setMax(CHECKPOINT_EVENTS)
    .setCheckpointintervalmultiplier(1)
    .setStreamIdentifier(expression);
  const options = optionsOf(direction).setAll(allFrom(begin)).setCount(COUNT_MAX).setFilter(filter);
  return new ReadReq().setOptions(options);
}

export function subscribeRequest(after: Position | 'start' | 'end', filter: LogFilter | undefined): ReadReq {
  const options = optionsOf('forwards')
    .setAll(allFrom(after))
    .setSubscription(new ReadReq.Options.SubscriptionOptions());
  return new ReadReq().setOptions(options.setFilter(filterOf(filter)));
}

function allFrom(from: Position | 'start' | 'end'): ReadReq.Options.AllOptions {
  const all = new ReadReq.Options.AllOptions();
  if (from === 'start' || (from !== 'end' && from.commit < 0n)) return all.setStart(new Empty());
  if (from === 'end') return all.setEnd(new Empty());
  const position = new ReadReq.Options.Position()
    .setCommitPosition(from.commit.toString())
    .setPreparePosition(from.prepare.toString());
  return all.setPosition(position);
}

function filterOf(filter: LogFilter | undefined): ReadReq.Options.FilterOptions {
  const options = new ReadReq.Options.FilterOptions()
    .setMax(CHECKPOINT_EVENTS)
    .setCheckpointintervalmultiplier(1);
  const expression = new ReadReq.Options.FilterOptions.Expression();
  if (filter?.streamPrefixes !== undefined) {
    return options.setStreamIdentifier(expression.setPrefixList([...filter.streamPrefixes]));
  }
  if (filter?.eventTypePrefixes !== undefined) {
    return options.setEventType(expression.setPrefixList([...filter.eventTypePrefixes]));
  }
  return options.setStreamIdentifier(expression.setRegex(NOT_OF_THE_SYSTEM));
}

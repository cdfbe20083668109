import type { ReadReq } from '@eventstore/db-client/generated/streams_pb';
import type { EventFilter } from '../engine/filter';
import { invalidArgument } from './errors';
import { numberOf, streamNameOf } from './wire';

type Options = ReadReq.Options;

/** Beyond it a client's window says no more than that it does not mind. */
const CHECKPOINT_EVENTS_MAX = 1_000_000;
const WINDOW_DEFAULT = 32;
const BACKWARDS = 1;

/** Where a read begins; a number is a revision or a position. */
type From = number | 'start' | 'end';

export interface StreamTarget {
  readonly kind: 'stream';
  readonly stream: string;
  readonly from: From;
}

export interface LogTarget {
  readonly kind: 'log';
  readonly from: From;
  readonly filter: EventFilter | undefined;
  /** Events looked at after which a subscriber hears how far it is. */
  readonly checkpointEvents: number;
}

/** What a client wants to read, checked. */
export interface ReadRequest {
  readonly target: StreamTarget | LogTarget;
  readonly backwards: boolean;
  readonly structuredIds: boolean;
  readonly resolvesLinks: boolean;
  /** Most events of a read; undefined: a subscription. */
  readonly count: number | undefined;
}

/** @throws CallError `INVALID_ARGUMENT` */
export function parseReadRequest(message: ReadReq): ReadRequest {
  const options = message.getOptions();
  if (options === undefined) throw invalidArgument('The options are missing.');
  const subscribes = options.hasSubscription();
  if (!subscribes && !options.hasCount()) throw invalidArgument('A count or a subscription is required.');
  const backwards = (options.getReadDirection() as number) === BACKWARDS;
  if (subscribes && backwards) throw invalidArgument('A subscription reads forwards.');
  return {
    target: targetOf(options),
    backwards,
    structuredIds: options.getUuidOption()?.hasStructured() ?? false,
    resolvesLinks: options.getResolveLinks(),
    count: subscribes ? undefined : numberOf(options.getCount(), 'count'),
  };
}

function targetOf(options: Options): StreamTarget | LogTarget {
  const stream = options.getStream();
  if (stream !== undefined) {
    const from = stream.hasRevision() ? numberOf(stream.getRevision(), 'revision') : edge(stream.hasEnd());
    return { kind: 'stream', stream: streamNameOf(stream.getStreamIdentifier()), from };
  }
  const all = options.getAll();
  if (all === undefined) throw invalidArgument('A stream or $all is required.');
  const position = all.getPosition();
  const from =
    position === undefined ? edge(all.hasEnd()) : numberOf(position.getCommitPosition(), 'position');
  return { kind: 'log', from, ...filterOf(options.getFilter()) };
}

const edge = (end: boolean): 'start' | 'end' => (end ? 'end' : 'start');

/** As reads and groups of consumers have it, in messages of their own. */
interface FilterOptions {
  hasMax(): boolean;
  getMax(): number;
  getCheckpointintervalmultiplier(): number;
  getStreamIdentifier(): FilterExpression | undefined;
  getEventType(): FilterExpression | undefined;
}

interface FilterExpression {
  getPrefixList(): string[];
  getRegex(): string;
}

/** @throws CallError `INVALID_ARGUMENT` */
export function filterOf(options: FilterOptions | undefined): Pick<LogTarget, 'filter' | 'checkpointEvents'> {
  if (options === undefined) return { filter: undefined, checkpointEvents: WINDOW_DEFAULT };
  const window = options.hasMax() ? options.getMax() : WINDOW_DEFAULT;
  if (window < 1) throw invalidArgument('A filter’s window is at least 1.');
  const multiplier = options.getCheckpointintervalmultiplier();
  if (multiplier < 1) throw invalidArgument('A checkpoint interval is at least 1.');
  const checkpointEvents = Math.min(window * multiplier, CHECKPOINT_EVENTS_MAX);
  const onStream = options.getStreamIdentifier();
  const expression = onStream ?? options.getEventType();
  if (expression === undefined) throw invalidArgument('A filter is on stream names or on event types.');
  const prefixes = expression.getPrefixList();
  const regex = expression.getRegex();
  if (prefixes.length > 0 && regex !== '') throw invalidArgument('A filter has prefixes or an expression.');
  if (prefixes.length > 0) {
    const filter = onStream === undefined ? { eventTypePrefixes: prefixes } : { streamPrefixes: prefixes };
    return { filter, checkpointEvents };
  }
  if (regex === '') throw invalidArgument('A filter has prefixes or an expression.');
  const filter = onStream === undefined ? { eventTypeRegex: regex } : { streamRegex: regex };
  return { filter, checkpointEvents };
}

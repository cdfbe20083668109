import { randomUUID } from 'node:crypto';
import type { ClientReadableStream } from '@grpc/grpc-js';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb';
import {
  EventLog,
  READ_EVENTS_MAX,
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
import { asEventId, asRevision, type Revision } from '../../../kernel/ids';
import { comparePositions, hasPassed, POSITION_START, type Position } from '../../../kernel/position';
import { BatchAppender } from './batch-appender';
import { EsdbConnection } from './connection';
import { EPOCH_STREAM } from './epoch';
import { isStreamDeleted, readFailure } from './failures';
import { logReadRequest, streamReadRequest } from './read-requests';
import { logEventOf } from './recorded-event';
import { StreamNames } from './stream-names';
import { subscribeToLog } from './subscription';

const APPEND_TIMEOUT_MS = 10_000;
const READ_TIMEOUT_MS = 30_000;
/** For finding a node of the cluster that takes calls. */
const OPEN_TIMEOUT_MS = 10_000;

export interface EsdbOptions {
  /** `esdb://…` or `esdb+discover://…`, with credentials and TLS options in it. */
  readonly connectionString: string;
  /** A word of letters, digits, `_` and `-`: streams are named `<word>.<name>` on the server, and no others are seen. */
  readonly streamPrefix?: string;
  readonly appendTimeoutMs?: number;
  readonly readTimeoutMs?: number;
  readonly openTimeoutMs?: number;
}

interface Identity {
  readonly epoch: string;
  readonly numbering: string;
}

type StreamPage = LogEvent[] | 'streamNotFound' | 'streamDeleted';

/**
 * The port over an EventStoreDB server or cluster, or the embedded engine's gRPC door.
 *
 * The store's own streams, whose names begin with `$`, and the stream of the epoch are not part of the log as this port
 * shows it, unless a filter names them: a server writes to them whenever it likes.
 */
export class EsdbEventLog extends EventLog {
  private readonly connection: EsdbConnection;
  private readonly names: StreamNames;
  private readonly appender: BatchAppender;
  private readonly readTimeoutMs: number;
  private known: Identity | undefined;

  /**
   * @throws Error when the connection string is none, or the prefix cannot be; whether a server is there shows with
   *   the first call
   */
  constructor(options: EsdbOptions) {
    super();
    this.names = new StreamNames(options.streamPrefix);
    this.connection = new EsdbConnection(options.connectionString, options.openTimeoutMs ?? OPEN_TIMEOUT_MS);
    this.appender = new BatchAppender(this.connection, options.appendTimeoutMs ?? APPEND_TIMEOUT_MS);
    this.readTimeoutMs = options.readTimeoutMs ?? READ_TIMEOUT_MS;
  }

  async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    if (events.length === 0) throw new RangeError('an append has at least one event');
    const answer = await this.appender.append(this.names.onServer(stream), events, options.expected);
    if (answer.kind === 'wrongExpectedRevision') return answer;
    const position = answer.position ?? (await this.positionAt(stream, answer.revision));
    return { kind: 'appended', revision: answer.revision, position };
  }

  async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    const { from, direction = 'forwards', limit } = options;
    checkLimit(limit);
    if (from !== undefined && from < 0n) throw new RangeError(`a revision is not negative: ${from}`);
    // One more than wanted tells whether more follows.
    const page = await this.page(this.ofStream(stream, direction, from, limit + 1));
    if (typeof page === 'string') return { kind: page };
    const events = page.slice(0, limit);
    const truncated = await this.truncation(stream, events, direction, from);
    return {
      kind: 'events',
      events,
      more: page.length > limit,
      ...(truncated === undefined ? {} : { truncatedBefore: truncated }),
    };
  }

  async readAll(options: ReadAllOptions): Promise<AllRead> {
    const { after, direction = 'forwards', limit, filter } = options;
    checkLimit(limit);
    const backwards = direction === 'backwards';
    // Read before the page is: whatever the page does not show was behind this, or is yet to come.
    const head = backwards ? POSITION_START : await this.head();
    const from = after ?? (backwards ? 'end' : 'start');
    if (backwards && after !== undefined && after.commit <= 0n) return endBackwards([]);
    // Forwards the server begins at the position, which the port excludes; the epoch's event may be among them.
    const onServer = this.names.filterOnServer(filter);
    const request = logReadRequest(direction, from, limit + 2, onServer.filter);
    const read: LogEvent[] = [];
    for await (const response of this.responses(request)) {
      const event = this.eventOf(response);
      if (event !== undefined) read.push(event);
    }
    const whole = read.length < limit + 2;
    const fresh = after === undefined ? read : read.filter((event) => lies(event, direction, after));
    const shown = fresh.filter(({ stream }) => filter !== undefined || stream !== EPOCH_STREAM);
    const events = shown.filter(onServer.passes);
    const page = events.slice(0, limit);
    if (!whole || events.length > limit) {
      // Whoever was not let through lies between the page and what follows.
      const last = events.length >= limit ? page.at(-1) : read.at(-1);
      return { events: page, next: (last as LogEvent).position, endOfLog: false };
    }
    if (backwards) return endBackwards(page);
    return { events: page, next: latest(after, page.at(-1)?.position, head), endOfLog: true };
  }

  subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    return subscribeToLog(this.connection, this.names, () => this.head(), options);
  }

  async head(): Promise<Position> {
    const { filter } = this.names.filterOnServer(undefined);
    for await (const response of this.responses(logReadRequest('backwards', 'end', 1, filter))) {
      const event = this.eventOf(response);
      if (event !== undefined) return event.position;
    }
    return POSITION_START;
  }

  async setMaxCount(stream: string, maxCount: number): Promise<void> {
    await this.setMetadata(stream, { $maxCount: maxCount });
  }

  async epoch(): Promise<string> {
    return (await this.identity()).epoch;
  }

  override async numbering(): Promise<string> {
    return (await this.identity()).numbering;
  }

  /**
   * Begins another epoch: after an older backup was put in the server's place, clients must not trust their cursors.
   * Nodes that run keep the one they know until they start again.
   */
  async renewEpoch(): Promise<string> {
    const epoch = randomUUID();
    const event = { id: asEventId(randomUUID()), type: 'EpochBegan', data: { epoch }, metadata: {} };
    const { kind, ...at } = await this.append(EPOCH_STREAM, [event], { expected: 'any' });
    if (kind !== 'appended' || !('revision' in at))
      throw new Error('an append of whatever revision was refused');
    // What was there before is forgotten: the first event that can be read is the epoch.
    await this.setMetadata(EPOCH_STREAM, { $tb: Number(at.revision) });
    this.known = undefined;
    return epoch;
  }

  /** Ends subscriptions and refuses what comes after. Twice is harmless. */
  async close(): Promise<void> {
    await this.connection.close();
  }

  private async setMetadata(stream: string, data: object): Promise<void> {
    const event = { id: asEventId(randomUUID()), type: '$metadata', data, metadata: {} };
    await this.append(`$$${stream}`, [event], { expected: 'any' });
  }

  private async identity(): Promise<Identity> {
    this.known ??= (await this.storedIdentity()) ?? (await this.establishEpoch());
    return this.known;
  }

  private async establishEpoch(): Promise<Identity> {
    const event = {
      id: asEventId(randomUUID()),
      type: 'EpochBegan',
      data: { epoch: randomUUID() },
      metadata: {},
    };
    // Of several nodes that start at once one writes it, and all read the same.
    await this.append(EPOCH_STREAM, [event], { expected: 'noStream' });
    const identity = await this.storedIdentity();
    if (identity === undefined) throw new Error(`the stream ${EPOCH_STREAM} holds no epoch`);
    return identity;
  }

  private async storedIdentity(): Promise<Identity | undefined> {
    const page = await this.page(this.ofStream(EPOCH_STREAM, 'forwards', undefined, 1));
    if (page === 'streamDeleted') throw new Error(`the stream ${EPOCH_STREAM} was deleted for ever`);
    const first = page === 'streamNotFound' ? undefined : page[0];
    const epoch = (first?.data as { readonly epoch?: string } | undefined)?.epoch;
    if (first === undefined || epoch === undefined) return undefined;
    // A copy has the same event, at a time and a place of the server's own.
    return { epoch, numbering: `${epoch}@${first.position.commit}.${first.created}` };
  }

  private async positionAt(stream: string, revision: Revision): Promise<Position> {
    const page = await this.page(this.ofStream(stream, 'backwards', revision, 1));
    const event = typeof page === 'string' ? undefined : page[0];
    return event?.position ?? (await this.head());
  }

  /** The oldest readable revision, when the read was to start before it. */
  private async truncation(
    stream: string,
    events: readonly LogEvent[],
    direction: 'forwards' | 'backwards',
    from: Revision | undefined,
  ): Promise<Revision | undefined> {
    const asked = from ?? asRevision(0n);
    if (direction === 'forwards' && events[0] !== undefined) {
      return events[0].revision > asked ? events[0].revision : undefined;
    }
    if (events.length > 0 || (direction === 'backwards' && from === undefined)) return undefined;
    const first = await this.page(this.ofStream(stream, 'forwards', undefined, 1));
    const oldest = typeof first === 'string' ? undefined : first[0]?.revision;
    return oldest !== undefined && oldest > asked ? oldest : undefined;
  }

  private ofStream(
    stream: string,
    direction: 'forwards' | 'backwards',
    from: Revision | undefined,
    count: number,
  ): ReadReq {
    return streamReadRequest(this.names.onServer(stream), direction, from, count);
  }

  private eventOf(response: ReadResp): LogEvent | undefined {
    const resolved = response.getEvent();
    return resolved === undefined ? undefined : logEventOf(resolved, this.names);
  }

  private async page(request: ReadReq): Promise<StreamPage> {
    const events: LogEvent[] = [];
    try {
      for await (const response of this.responses(request)) {
        if (response.hasStreamNotFound()) return 'streamNotFound';
        const event = this.eventOf(response);
        if (event !== undefined) events.push(event);
      }
    } catch (error) {
      if (isStreamDeleted(error instanceof Error ? error.cause : error)) return 'streamDeleted';
      throw error;
    }
    return events;
  }

  private async *responses(request: ReadReq): AsyncGenerator<ReadResp, void, undefined> {
    const call = await this.connection.open(
      (client, metadata, options): ClientReadableStream<ReadResp> => client.read(request, metadata, options),
      { timeoutMs: this.readTimeoutMs },
    );
    try {
      for await (const response of call) yield response as ReadResp;
    } catch (error) {
      throw readFailure(error);
    } finally {
      call.cancel();
    }
  }
}

function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > READ_EVENTS_MAX) {
    throw new RangeError(`a read takes 1 to ${READ_EVENTS_MAX} events, not ${limit}`);
  }
}

const lies = (event: LogEvent, direction: 'forwards' | 'backwards', after: Position): boolean =>
  comparePositions(event.position, after) === (direction === 'forwards' ? 1 : -1);

const endBackwards = (events: readonly LogEvent[]): AllRead => ({
  events,
  next: { commit: 0n, prepare: 0n },
  endOfLog: true,
});

function latest(...positions: readonly (Position | undefined)[]): Position {
  let last = POSITION_START;
  for (const position of positions) {
    if (position !== undefined && hasPassed(position, last)) last = position;
  }
  return last;
}

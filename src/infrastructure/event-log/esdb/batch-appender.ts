import { randomUUID } from 'node:crypto';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { UUID, WrongExpectedVersion } from '@eventstore/db-client/generated/shared_pb';
import type { Status } from '@eventstore/db-client/generated/status_pb';
import { BatchAppendReq, type BatchAppendResp } from '@eventstore/db-client/generated/streams_pb';
import {
  APPEND_BYTES_MAX,
  AppendOutcomeUnknown,
  AppendTooLarge,
  EventLogUnavailable,
  StreamDeletedError,
  type ExpectedRevision,
  type NewEvent,
} from '../../../application/ports/event-log';
import { asRevision, type Revision } from '../../../kernel/ids';
import type { Position } from '../../../kernel/position';
import type { EsdbConnection } from './connection';
import { appendFailure } from './failures';
import { streamIdentifier } from './read-requests';
import { idText, positionOf } from './recorded-event';

/** Appends that wait for their answer; above it they are refused at once. */
export const WAITING_APPENDS_MAX = 10_000;
const WAITING_BYTES_MAX = 64 * 1_048_576;

export type AppendAnswer =
  /** `position` is absent when the server does not tell it. */
  | { readonly kind: 'appended'; readonly revision: Revision; readonly position: Position | undefined }
  | { readonly kind: 'wrongExpectedRevision'; readonly actual: Revision | undefined };

/** An event as it goes over the line. */
interface ProposedEvent {
  readonly id: string;
  readonly type: string;
  readonly isJson: boolean;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
}

type Call = ClientDuplexStream<BatchAppendReq, BatchAppendResp>;

interface Waiting {
  readonly stream: string;
  readonly bytes: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (answer: AppendAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** One stream of appends, while it lasts, with those that wait for its answers by correlation id. */
interface Channel {
  readonly call: Call;
  readonly waiting: Map<string, Waiting>;
  answered: boolean;
}

/** Appends of all conversations over one stream, each answered on its own; a broken stream is opened anew. */
export class BatchAppender {
  private channel: Promise<Channel> | undefined;
  private waitingCount = 0;
  private waitingBytes = 0;

  constructor(
    private readonly connection: EsdbConnection,
    private readonly timeoutMs: number,
  ) {}

  /** @throws what the port's `append` throws */
  async append(
    stream: string,
    events: readonly NewEvent[],
    expected: ExpectedRevision,
  ): Promise<AppendAnswer> {
    return this.appendBytes(stream, events.map(bytesOf), expected);
  }

  /** @throws what the port's `append` throws */
  async appendBytes(
    stream: string,
    events: readonly ProposedEvent[],
    expected: ExpectedRevision,
  ): Promise<AppendAnswer> {
    this.connection.assertOpen();
    const { messages, bytes } = proposedOf(events);
    if (bytes > APPEND_BYTES_MAX) throw new AppendTooLarge(`an append of ${bytes} bytes to ${stream}`);
    if (this.waitingCount >= WAITING_APPENDS_MAX || this.waitingBytes + bytes > WAITING_BYTES_MAX) {
      throw new EventLogUnavailable(`${this.waitingCount} appends are waiting`);
    }
    this.waitingCount++;
    this.waitingBytes += bytes;
    try {
      const channel = await this.open();
      return await this.send(channel, stream, messages, bytes, expected);
    } finally {
      this.waitingCount--;
      this.waitingBytes -= bytes;
    }
  }

  private send(
    channel: Channel,
    stream: string,
    messages: BatchAppendReq.ProposedMessage[],
    bytes: number,
    expected: ExpectedRevision,
  ): Promise<AppendAnswer> {
    return new Promise((resolve, reject) => {
      const correlation = randomUUID();
      const timer = setTimeout(() => {
        channel.waiting.delete(correlation);
        reject(new AppendOutcomeUnknown(`no answer to an append to ${stream} in ${this.timeoutMs} ms`));
      }, this.timeoutMs);
      channel.waiting.set(correlation, { stream, bytes, timer, resolve, reject });
      const request = new BatchAppendReq()
        .setCorrelationId(new UUID().setString(correlation))
        .setOptions(this.optionsOf(stream, expected))
        .setProposedMessagesList(messages)
        .setIsFinal(true);
      // What the call cannot take yet waits in it; the bounds on waiting appends bound that too.
      channel.call.write(request);
    });
  }

  /**
   * Without the deadline that the protocol has room for: it is a time by the clock, and a node whose clock is behind
   * the store's would have every append refused as too late. An answer that does not come is waited for by our timer.
   */
  private optionsOf(stream: string, expected: ExpectedRevision): BatchAppendReq.Options {
    const options = new BatchAppendReq.Options().setStreamIdentifier(streamIdentifier(stream));
    if (expected === 'any') return options.setAny(new Empty());
    if (expected === 'noStream') return options.setNoStream(new Empty());
    if (expected === 'streamExists') return options.setStreamExists(new Empty());
    return options.setStreamPosition(expected.toString());
  }

  private open(): Promise<Channel> {
    if (this.channel !== undefined) return this.channel;
    const opening: Promise<Channel> = this.connection
      .open((client, metadata, options) => client.batchAppend(metadata, options), { requiresLeader: true })
      .then((call) => this.listen(call, opening));
    const forget = (): void => {
      if (this.channel === opening) this.channel = undefined;
    };
    opening.catch(forget);
    this.channel = opening;
    return opening;
  }

  private listen(call: Call, opening: Promise<Channel>): Channel {
    const channel: Channel = { call, waiting: new Map(), answered: false };
    const end = (error: unknown): void => {
      if (this.channel === opening) this.channel = undefined;
      for (const [correlation, { timer, reject }] of channel.waiting) {
        channel.waiting.delete(correlation);
        clearTimeout(timer);
        reject(appendFailure(error, channel.answered));
      }
    };
    call.on('data', (response: BatchAppendResp) => {
      channel.answered = true;
      settle(channel, response);
    });
    call.on('error', end);
    call.on('end', () => {
      end(new Error('the event store ended the stream of appends'));
    });
    return channel;
  }
}

const bytesOf = ({ id, type, data, metadata }: NewEvent): ProposedEvent => ({
  ...{ id, type, isJson: true },
  data: Buffer.from(JSON.stringify(data)),
  metadata: Buffer.from(JSON.stringify(metadata)),
});

function proposedOf(events: readonly ProposedEvent[]) {
  let bytes = 0;
  const messages = events.map(({ id, type, isJson, data, metadata }) => {
    bytes += data.length + metadata.length;
    const message = new BatchAppendReq.ProposedMessage()
      .setId(new UUID().setString(id))
      .setData(data)
      .setCustomMetadata(metadata);
    const contentType = isJson ? 'application/json' : 'application/octet-stream';
    message.getMetadataMap().set('type', type).set('content-type', contentType);
    return message;
  });
  return { messages, bytes };
}

function settle(channel: Channel, response: BatchAppendResp): void {
  const correlation = idText(response.getCorrelationId());
  const waiting = channel.waiting.get(correlation);
  // An answer that comes after its append was given up.
  if (waiting === undefined) return;
  channel.waiting.delete(correlation);
  clearTimeout(waiting.timer);
  const failure = response.getError();
  if (failure !== undefined) {
    refuse(waiting, failure);
    return;
  }
  const success = response.getSuccess();
  const position = success?.getPosition();
  waiting.resolve({
    kind: 'appended',
    revision: asRevision(BigInt(success?.getCurrentRevision() ?? 0)),
    position: position === undefined ? undefined : positionOf(position),
  });
}

function refuse({ stream, resolve, reject }: Waiting, failure: Status): void {
  const details = failure.getDetails();
  const name = details?.getTypeName() ?? '';
  switch (name) {
    case 'event_store.client.WrongExpectedVersion': {
      const wrong = details?.unpack((bytes) => WrongExpectedVersion.deserializeBinary(bytes), name);
      const actual =
        wrong?.hasCurrentStreamRevision() === true ? wrong.getCurrentStreamRevision() : undefined;
      resolve({
        kind: 'wrongExpectedRevision',
        actual: actual === undefined ? undefined : asRevision(BigInt(actual)),
      });
      return;
    }
    case 'event_store.client.StreamDeleted':
      reject(new StreamDeletedError(`the stream ${stream} was deleted for ever`));
      return;
    case 'event_store.client.MaximumAppendSizeExceeded':
      reject(new AppendTooLarge(failure.getMessage()));
      return;
    case 'event_store.client.BadRequest':
      reject(new RangeError(failure.getMessage()));
      return;
    case 'event_store.client.AccessDenied':
      reject(new EventLogUnavailable(`the event store denies appends to ${stream}`));
      return;
    default:
      // A time that ran out on the server, among others: the events may be stored yet.
      reject(new AppendOutcomeUnknown(`an append to ${stream} failed: ${failure.getMessage()}`));
  }
}

import type { ServerDuplexStream } from '@grpc/grpc-js';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { AllStreamPosition } from '@eventstore/db-client/generated/shared_pb';
import type { Status } from '@eventstore/db-client/generated/status_pb';
import { BatchAppendResp, type BatchAppendReq } from '@eventstore/db-client/generated/streams_pb';
import { EngineError } from '../engine/errors';
import type { AppendOutcome, Expected } from '../engine/decisions';
import type { EmbeddedEventStore } from '../engine/event-store';
import { payloadBytes, type EngineEvent } from '../engine/record';
import type { Access } from './access';
import {
  otherStatus,
  streamDeletedStatus,
  timeoutStatus,
  tooLargeStatus,
  wrongVersionStatus,
} from './batch-status';
import { exhausted, invalidArgument, toCallError } from './errors';
import { Outbound } from './outbound';
import { engineEventOf, expectedOf, streamIdentifierOf, streamNameOf, uuidText } from './wire';

/** Appends of one call that have begun and not ended. A client that opens more has its call ended. */
export const OPEN_BATCHES_MAX = 1_024;
/** Bytes that these may have gathered. */
const OPEN_BYTES_MAX = 64 * 1_048_576;
/** Calls of all clients together, and what all of them may hold in memory; one more is refused by name. */
export const BATCH_CALLS_MAX = 2_000;
export const BATCH_BYTES_MAX = 256 * 1_048_576;
/** Of the appends of one call that the store works on; while there are so many, nothing more is read. */
const STORING_BYTES_MAX = 8 * 1_048_576;
/** Appends of one call that the store works on; while there are so many, nothing more is read. */
export const STORING_BATCHES_MAX = 512;

/** What the calls of a door hold together. */
export interface BatchLoad {
  calls: number;
  bytes: number;
  readonly callsMax: number;
  readonly bytesMax: number;
}

export const batchLoad = (callsMax = BATCH_CALLS_MAX, bytesMax = BATCH_BYTES_MAX): BatchLoad => ({
  calls: 0,
  bytes: 0,
  callsMax,
  bytesMax,
});

type BatchCall = ServerDuplexStream<BatchAppendReq, BatchAppendResp>;

interface Batch {
  readonly stream: string;
  readonly expected: Expected;
  /** Milliseconds since the epoch; an append whose turn comes later is not made. */
  readonly deadline: number;
  readonly events: EngineEvent[];
  bytes: number;
  /** Answered already: what still arrives of it is thrown away. */
  refused: boolean;
}

/**
 * One stream of appends, told apart by correlation ids. Each is answered on its own, when it is durable; one
 * that is refused disturbs no other.
 */
class BatchAppendCall {
  private readonly open = new Map<string, Batch>();
  private readonly outbound: Outbound<BatchAppendResp>;
  private openBytes = 0;
  private storing = 0;
  private storingBytes = 0;
  private blocked = false;
  private ended = false;

  constructor(
    private readonly call: BatchCall,
    private readonly store: EmbeddedEventStore,
    private readonly access: Access,
    private readonly bytesMax: number,
    private readonly load: BatchLoad,
  ) {
    this.outbound = new Outbound(call);
    call.on('data', (message: BatchAppendReq) => {
      this.take(message);
    });
    load.calls++;
    this.outbound.signal.addEventListener('abort', () => {
      load.calls--;
      load.bytes -= this.openBytes;
      this.openBytes = 0;
      this.open.clear();
    });
    call.on('end', () => {
      this.ended = true;
      this.settle();
    });
  }

  private take(message: BatchAppendReq): void {
    let correlation: string;
    try {
      correlation = uuidText(message.getCorrelationId());
    } catch (error) {
      // Nobody can be told by an answer which append this was.
      this.call.emit('error', toCallError(error, this.bytesMax));
      return;
    }
    const batch = this.open.get(correlation) ?? this.begin(message, correlation);
    if (batch === undefined) return;
    const before = batch.bytes;
    this.gather(batch, message);
    if (this.open.has(correlation)) this.hold(batch.bytes - before);
    if (!message.getIsFinal()) return;
    if (this.open.delete(correlation)) this.hold(-batch.bytes);
    if (!batch.refused) void this.finish(batch, message);
  }

  private hold(bytes: number): void {
    this.openBytes += bytes;
    this.load.bytes += bytes;
  }

  private begin(message: BatchAppendReq, correlation: string): Batch | undefined {
    if (this.open.size >= OPEN_BATCHES_MAX || this.openBytes > OPEN_BYTES_MAX) {
      this.call.emit('error', exhausted(`${this.open.size} appends have begun and not ended.`));
      return undefined;
    }
    const { load } = this;
    if (load.bytes > load.bytesMax) {
      this.call.emit('error', exhausted(`${load.bytesMax} bytes of appends are in memory.`));
      return undefined;
    }
    const batch = this.beginning(message);
    if (!message.getIsFinal()) this.open.set(correlation, batch);
    return batch;
  }

  private beginning(message: BatchAppendReq): Batch {
    let stream = '';
    try {
      const options = message.getOptions();
      if (options === undefined) throw invalidArgument('The options come first.');
      stream = streamNameOf(options.getStreamIdentifier());
      const revision = () => (options.hasStreamPosition() ? options.getStreamPosition() : undefined);
      const expected = expectedOf(options, revision);
      const deadline = options.getDeadline()?.toDate().getTime() ?? Infinity;
      return { stream, expected, deadline, events: [], bytes: 0, refused: false };
    } catch (error) {
      const batch: Batch = { stream, expected: 'any', deadline: 0, events: [], bytes: 0, refused: true };
      this.refuse(batch, message, otherStatus(toCallError(error, this.bytesMax)));
      return batch;
    }
  }

  private gather(batch: Batch, message: BatchAppendReq): void {
    if (batch.refused) return;
    try {
      for (const proposed of message.getProposedMessagesList()) {
        const event = engineEventOf(proposed);
        batch.bytes += payloadBytes(event);
        batch.events.push(event);
        if (batch.bytes <= this.bytesMax) continue;
        this.refuse(batch, message, tooLargeStatus(this.bytesMax));
        return;
      }
    } catch (error) {
      this.refuse(batch, message, otherStatus(toCallError(error, this.bytesMax)));
    }
  }

  private async finish(batch: Batch, message: BatchAppendReq): Promise<void> {
    if (batch.deadline <= Date.now()) {
      this.refuse(batch, message, timeoutStatus());
      return;
    }
    const { bytes } = batch;
    this.storing++;
    this.storingBytes += bytes;
    this.load.bytes += bytes;
    this.flow();
    try {
      await this.access.demand(this.access.callerOf(this.call.metadata), 'write', batch.stream);
      const outcome = await this.store.append(batch.stream, batch.events, batch.expected);
      this.answer(batch, message, outcome);
    } catch (error) {
      this.refuse(batch, message, this.statusOf(error));
    } finally {
      this.storing--;
      this.storingBytes -= bytes;
      this.load.bytes -= bytes;
      this.flow();
      this.settle();
    }
  }

  private statusOf(error: unknown): Status {
    if (error instanceof EngineError && error.kind === 'tooLarge') return tooLargeStatus(this.bytesMax);
    return otherStatus(toCallError(error, this.bytesMax));
  }

  private answer(batch: Batch, message: BatchAppendReq, outcome: AppendOutcome): void {
    switch (outcome.kind) {
      case 'appended':
        this.respond(batch, message, new BatchAppendResp().setSuccess(successOf(outcome)));
        return;
      case 'wrongExpectedRevision':
        this.refuse(batch, message, wrongVersionStatus(batch.expected, outcome.actual));
        return;
      case 'streamDeleted':
        this.refuse(batch, message, streamDeletedStatus(batch.stream));
        return;
    }
  }

  private refuse(batch: Batch, message: BatchAppendReq, status: Status): void {
    batch.refused = true;
    batch.events.length = 0;
    this.respond(batch, message, new BatchAppendResp().setError(status));
  }

  private respond(batch: Batch, message: BatchAppendReq, response: BatchAppendResp): void {
    response.setCorrelationId(message.getCorrelationId());
    response.setStreamIdentifier(streamIdentifierOf(batch.stream));
    if (batch.expected === 'any') response.setAny(new Empty());
    else if (batch.expected === 'noStream') response.setNoStream(new Empty());
    else if (batch.expected === 'streamExists') response.setStreamExists(new Empty());
    else response.setStreamPosition(String(batch.expected));
    // A client that does not take its answers is not read from either.
    const taken = this.outbound.offer(response);
    if (taken === undefined) return;
    this.blocked = true;
    this.flow();
    void taken.then(() => {
      this.blocked = false;
      this.flow();
    });
  }

  private flow(): void {
    const busy = this.storing >= STORING_BATCHES_MAX || this.storingBytes >= STORING_BYTES_MAX;
    if (this.blocked || busy) this.call.pause();
    else this.call.resume();
  }

  private settle(): void {
    if (this.ended && this.storing === 0 && !this.outbound.gone) this.call.end();
  }
}

function successOf(outcome: {
  readonly revision: number;
  readonly position: number;
}): BatchAppendResp.Success {
  const success = new BatchAppendResp.Success();
  if (outcome.revision < 0) success.setNoStream(new Empty());
  else success.setCurrentRevision(String(outcome.revision));
  if (outcome.position < 0) return success.setNoPosition(new Empty());
  const position = String(outcome.position);
  return success.setPosition(
    new AllStreamPosition().setCommitPosition(position).setPreparePosition(position),
  );
}

export function handleBatchAppend(
  store: EmbeddedEventStore,
  access: Access,
  bytesMax: number,
  load: BatchLoad = batchLoad(),
) {
  return (call: BatchCall): void => {
    if (load.calls >= load.callsMax) {
      call.emit('error', exhausted(`${load.callsMax} calls that append are open.`));
      return;
    }
    new BatchAppendCall(call, store, access, bytesMax, load);
  };
}

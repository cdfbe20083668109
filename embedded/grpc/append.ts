import type { sendUnaryData, ServerReadableStream } from '@grpc/grpc-js';
import { Empty } from '@eventstore/db-client/generated/shared_pb';
import { AppendResp, type AppendReq } from '@eventstore/db-client/generated/streams_pb';
import type { AppendOutcome, Expected } from '../engine/decisions';
import type { EmbeddedEventStore } from '../engine/event-store';
import { payloadBytes, type EngineEvent } from '../engine/record';
import type { Access } from './access';
import { invalidArgument, streamDeleted, toCallError, tooLarge } from './errors';
import { engineEventOf, expectedOf, streamNameOf } from './wire';

interface Target {
  readonly stream: string;
  readonly expected: Expected;
}

/** The calls of one append: its options, then its events, one message each. */
export class AppendCall {
  private target: Target | undefined;
  private readonly events: EngineEvent[] = [];
  private bytes = 0;

  constructor(private readonly bytesMax: number) {}

  /** @throws CallError; what was gathered is then to be forgotten */
  take(message: AppendReq): void {
    const options = message.getOptions();
    if (options !== undefined) {
      if (this.target !== undefined) throw invalidArgument('The options come once, and first.');
      const stream = streamNameOf(options.getStreamIdentifier());
      const revision = () => (options.hasRevision() ? options.getRevision() : undefined);
      this.target = { stream, expected: expectedOf(options, revision) };
      return;
    }
    const proposed = message.getProposedMessage();
    if (proposed === undefined) throw invalidArgument('A message has options or an event.');
    if (this.target === undefined) throw invalidArgument('The options come first.');
    const event = engineEventOf(proposed);
    this.bytes += payloadBytes(event);
    // Refused as it grows, so that nobody fills the memory with an append that is refused in the end.
    if (this.bytes > this.bytesMax) throw tooLarge(this.bytesMax);
    this.events.push(event);
  }

  /** @throws CallError, EngineError */
  async store(store: EmbeddedEventStore, mayWrite: (stream: string) => Promise<void>): Promise<AppendResp> {
    if (this.target === undefined) throw invalidArgument('The options are missing.');
    const { stream, expected } = this.target;
    await mayWrite(stream);
    return answer(stream, expected, await store.append(stream, this.events, expected));
  }
}

export function handleAppend(store: EmbeddedEventStore, access: Access, bytesMax: number) {
  return (call: ServerReadableStream<AppendReq, AppendResp>, reply: sendUnaryData<AppendResp>): void => {
    const append = new AppendCall(bytesMax);
    let over = false;
    const fail = (error: unknown): void => {
      if (over) return;
      over = true;
      reply(toCallError(error, bytesMax));
    };
    call.on('data', (message: AppendReq) => {
      if (over) return;
      try {
        append.take(message);
      } catch (error) {
        fail(error);
      }
    });
    call.on('error', fail);
    call.on('cancelled', () => {
      over = true;
    });
    call.on('end', () => {
      if (over) return;
      const mayWrite = async (stream: string): Promise<void> =>
        access.demand(access.callerOf(call.metadata), 'write', stream);
      append.store(store, mayWrite).then((response) => {
        over = true;
        reply(null, response);
      }, fail);
    });
  };
}

function answer(stream: string, expected: Expected, outcome: AppendOutcome): AppendResp {
  switch (outcome.kind) {
    case 'appended': {
      const success = new AppendResp.Success();
      if (outcome.revision < 0) success.setNoStream(new Empty());
      else success.setCurrentRevision(String(outcome.revision));
      if (outcome.position < 0) success.setNoPosition(new Empty());
      else {
        const position = String(outcome.position);
        success.setPosition(
          new AppendResp.Position().setCommitPosition(position).setPreparePosition(position),
        );
      }
      return new AppendResp().setSuccess(success);
    }
    case 'wrongExpectedRevision': {
      const wrong = new AppendResp.WrongExpectedVersion();
      if (outcome.actual === undefined) wrong.setCurrentNoStream(new Empty());
      else wrong.setCurrentRevision(String(outcome.actual));
      if (expected === 'any') wrong.setExpectedAny(new Empty());
      else if (expected === 'noStream') wrong.setExpectedNoStream(new Empty());
      else if (expected === 'streamExists') wrong.setExpectedStreamExists(new Empty());
      else wrong.setExpectedRevision(String(expected));
      return new AppendResp().setWrongExpectedVersion(wrong);
    }
    case 'streamDeleted':
      throw streamDeleted(stream);
  }
}

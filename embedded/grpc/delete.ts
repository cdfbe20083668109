import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import {
  DeleteResp,
  TombstoneResp,
  type DeleteReq,
  type TombstoneReq,
} from '@eventstore/db-client/generated/streams_pb';
import type { AppendOutcome, Expected } from '../engine/decisions';
import type { EmbeddedEventStore } from '../engine/event-store';
import type { Access } from './access';
import { invalidArgument, streamDeleted, toCallError, wrongExpectedVersion } from './errors';
import { expectedOf, streamNameOf } from './wire';

export function handleDelete(store: EmbeddedEventStore, access: Access, bytesMax: number) {
  return (call: ServerUnaryCall<DeleteReq, DeleteResp>, reply: sendUnaryData<DeleteResp>): void => {
    const ended = end(call, access, (stream, expected) => store.deleteStream(stream, expected));
    ended.then(
      (position) => {
        reply(
          null,
          new DeleteResp().setPosition(
            new DeleteResp.Position().setCommitPosition(position).setPreparePosition(position),
          ),
        );
      },
      (error: unknown) => {
        reply(toCallError(error, bytesMax));
      },
    );
  };
}

export function handleTombstone(store: EmbeddedEventStore, access: Access, bytesMax: number) {
  return (call: ServerUnaryCall<TombstoneReq, TombstoneResp>, reply: sendUnaryData<TombstoneResp>): void => {
    const ended = end(call, access, (stream, expected) => store.tombstoneStream(stream, expected));
    ended.then(
      (position) => {
        reply(
          null,
          new TombstoneResp().setPosition(
            new TombstoneResp.Position().setCommitPosition(position).setPreparePosition(position),
          ),
        );
      },
      (error: unknown) => {
        reply(toCallError(error, bytesMax));
      },
    );
  };
}

/** @returns where in the log the end is recorded */
async function end(
  { request, metadata }: ServerUnaryCall<DeleteReq | TombstoneReq, unknown>,
  access: Access,
  apply: (stream: string, expected: Expected) => Promise<AppendOutcome>,
): Promise<string> {
  const options = request.getOptions();
  if (options === undefined) throw invalidArgument('The options are missing.');
  const stream = streamNameOf(options.getStreamIdentifier());
  const expected = expectedOf(options, () => (options.hasRevision() ? options.getRevision() : undefined));
  await access.demand(access.callerOf(metadata), 'delete', stream);
  const outcome = await apply(stream, expected);
  switch (outcome.kind) {
    case 'appended':
      return String(outcome.position);
    case 'wrongExpectedRevision':
      throw wrongExpectedVersion(stream, expected, outcome.actual);
    case 'streamDeleted':
      throw streamDeleted(stream);
  }
}

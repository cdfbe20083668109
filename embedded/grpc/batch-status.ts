import { Any } from 'google-protobuf/google/protobuf/any_pb';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { Code } from '@eventstore/db-client/generated/code_pb';
import {
  AccessDenied,
  BadRequest,
  MaximumAppendSizeExceeded,
  StreamDeleted,
  Timeout,
  Unknown,
  WrongExpectedVersion,
} from '@eventstore/db-client/generated/shared_pb';
import { Status } from '@eventstore/db-client/generated/status_pb';
import type { Expected } from '../engine/decisions';
import { streamIdentifierOf } from './wire';

interface Detail {
  serializeBinary(): Uint8Array;
}

/** An error within a stream of appends; clients know it by the name of its details' message. */
function status(code: Code, message: string, name: string, detail: Detail): Status {
  const details = new Any();
  details.pack(detail.serializeBinary(), `event_store.client.${name}`);
  return new Status().setCode(code).setMessage(message.slice(0, 4_096)).setDetails(details);
}

export function wrongVersionStatus(expected: Expected, actual: number | undefined): Status {
  const wrong = new WrongExpectedVersion();
  if (actual === undefined) wrong.setCurrentNoStream(new Empty());
  else wrong.setCurrentStreamRevision(String(actual));
  if (expected === 'any') wrong.setExpectedAny(new Empty());
  else if (expected === 'noStream') wrong.setExpectedNoStream(new Empty());
  else if (expected === 'streamExists') wrong.setExpectedStreamExists(new Empty());
  else wrong.setExpectedStreamPosition(String(expected));
  return status(Code.ALREADY_EXISTS, 'Wrong expected version.', 'WrongExpectedVersion', wrong);
}

export const streamDeletedStatus = (stream: string): Status =>
  status(
    Code.FAILED_PRECONDITION,
    `Event stream '${stream}' is deleted.`,
    'StreamDeleted',
    new StreamDeleted().setStreamIdentifier(streamIdentifierOf(stream)),
  );

export const tooLargeStatus = (bytesMax: number): Status =>
  status(
    Code.INVALID_ARGUMENT,
    `Maximum append size of ${bytesMax} exceeded.`,
    'MaximumAppendSizeExceeded',
    new MaximumAppendSizeExceeded().setMaxappendsize(bytesMax),
  );

export const timeoutStatus = (): Status =>
  status(Code.DEADLINE_EXCEEDED, 'The deadline passed.', 'Timeout', new Timeout());

export function otherStatus(error: ServiceError): Status {
  const { code, details } = error;
  if (code === grpcStatus.INVALID_ARGUMENT) {
    return status(Code.INVALID_ARGUMENT, details, 'BadRequest', new BadRequest().setMessage(details));
  }
  if (code === grpcStatus.PERMISSION_DENIED) {
    return status(Code.PERMISSION_DENIED, details, 'AccessDenied', new AccessDenied());
  }
  const named = code === grpcStatus.UNAVAILABLE ? Code.UNAVAILABLE : Code.UNKNOWN;
  return status(named, details, 'Unknown', new Unknown());
}

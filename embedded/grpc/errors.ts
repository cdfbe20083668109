import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { EngineError } from '../engine/errors';
import type { Expected } from '../engine/decisions';

/** Trailer by which EventStoreDB's clients choose the class of the error they raise. */
const EXCEPTION = 'exception';
/** EventStoreDB's numbers for what is not a revision. */
const EXPECTED_NUMBERS = { any: -2, noStream: -1, streamExists: -4 } as const;

/** What ends a call: a gRPC status, and in its trailers the exception's name and its particulars. */
class CallError extends Error implements ServiceError {
  override readonly name = 'CallError';
  readonly metadata = new Metadata();

  constructor(
    readonly code: status,
    readonly details: string,
    exception?: string,
    particulars: Readonly<Record<string, string>> = {},
  ) {
    super(details);
    if (exception === undefined) return;
    this.metadata.set(EXCEPTION, exception);
    for (const [key, value] of Object.entries(particulars)) this.metadata.set(key, headerText(value));
  }
}

/** Trailers are ASCII; other names travel percent-encoded, and longer ones cut, as headers have a limit. */
function headerText(value: string): string {
  const text = /^[\x20-\x7e]*$/.test(value) ? value : encodeURIComponent(value.toWellFormed());
  return text.slice(0, 4_096);
}

export const invalidArgument = (message: string): ServiceError =>
  new CallError(status.INVALID_ARGUMENT, message);

export const accessDenied = (): ServiceError =>
  new CallError(status.PERMISSION_DENIED, 'Access Denied.', 'access-denied');

export const notAuthenticated = (): ServiceError =>
  new CallError(status.UNAUTHENTICATED, 'The user name or the password is wrong.');

export const unavailable = (what: string): ServiceError => new CallError(status.UNAVAILABLE, what);

export const exhausted = (what: string): ServiceError => new CallError(status.RESOURCE_EXHAUSTED, what);

/** What a cluster's node does and this one does not. */
export const notHere = (what: string): ServiceError => new CallError(status.FAILED_PRECONDITION, what);

export const scavengeNotFound = (id: string): ServiceError =>
  new CallError(status.NOT_FOUND, `Scavenge ${id} is not running.`, 'scavenge-not-found', {
    'scavenge-id': id,
  });

export const projectionNotFound = (name: string): ServiceError =>
  new CallError(status.NOT_FOUND, `The projection ${name.slice(0, 200)} does not exist.`);

export const projectionExists = (name: string): ServiceError =>
  new CallError(status.ALREADY_EXISTS, `The projection ${name.slice(0, 200)} exists.`);

export const projectionFailed = (reason: string): ServiceError =>
  new CallError(status.FAILED_PRECONDITION, reason);

/** A group of consumers, as its errors name it. */
interface GroupName {
  readonly stream: string;
  readonly group: string;
}

const groupError = (
  code: status,
  message: string,
  exception: string,
  { stream, group }: GroupName,
  reason: Readonly<Record<string, string>> = {},
): ServiceError =>
  new CallError(code, message.slice(0, 4_096), exception, {
    'stream-name': stream,
    'group-name': group,
    ...reason,
  });

export const groupFailed = (name: GroupName, reason: string): ServiceError =>
  groupError(
    status.INTERNAL,
    `Subscription group ${name.group} on stream ${name.stream} failed: '${reason}'`,
    'persistent-subscription-failed',
    name,
    { reason },
  );

export const groupDoesNotExist = (name: GroupName): ServiceError =>
  groupError(
    status.NOT_FOUND,
    `Subscription group ${name.group} on stream ${name.stream} does not exist.`,
    'persistent-subscription-does-not-exist',
    name,
  );

export const groupExists = (name: GroupName): ServiceError =>
  groupError(
    status.ALREADY_EXISTS,
    `Subscription group ${name.group} on stream ${name.stream} exists.`,
    'persistent-subscription-exists',
    name,
  );

export const groupFull = (name: GroupName): ServiceError =>
  groupError(
    status.FAILED_PRECONDITION,
    `Maximum subscriptions reached for subscription group ${name.group} on stream ${name.stream}.`,
    'maximum-subscribers-reached',
    name,
  );

export const groupDropped = (name: GroupName): ServiceError =>
  groupError(
    status.CANCELLED,
    `Subscription group ${name.group} on stream ${name.stream} was dropped.`,
    'persistent-subscription-dropped',
    name,
  );

export const streamDeleted = (stream: string): ServiceError =>
  new CallError(status.FAILED_PRECONDITION, `Event stream '${stream}' is deleted.`, 'stream-deleted', {
    'stream-name': stream,
  });

export const tooLarge = (bytesMax: number): ServiceError =>
  new CallError(
    status.INVALID_ARGUMENT,
    `Maximum Append Size of ${bytesMax} Exceeded.`,
    'maximum-append-size-exceeded',
    { 'maximum-append-size': String(bytesMax) },
  );

export const metadataMissing = (properties: string): ServiceError =>
  new CallError(
    status.INVALID_ARGUMENT,
    `Required Metadata Property '${properties}' is missing`,
    'missing-required-metadata-property',
    { 'required-metadata-properties': properties },
  );

export const wrongExpectedVersion = (
  stream: string,
  expected: Expected,
  actual: number | undefined,
): ServiceError =>
  new CallError(
    status.FAILED_PRECONDITION,
    `Append failed due to WrongExpectedVersion. Stream: ${stream}, Expected version: ${expected}, ` +
      `Actual version: ${actual ?? 'no stream'}`,
    'wrong-expected-version',
    {
      'stream-name': stream,
      'expected-version': String(typeof expected === 'number' ? expected : EXPECTED_NUMBERS[expected]),
      // Absent: clients then say that there is no stream.
      ...(actual === undefined ? {} : { 'actual-version': String(actual) }),
    },
  );

/** Whatever a handler threw, as what the caller is told. */
export function toCallError(error: unknown, appendBytesMax = 0): ServiceError {
  if (error instanceof CallError) return error;
  if (!(error instanceof EngineError)) {
    return new CallError(status.INTERNAL, 'The event store failed to do this.');
  }
  switch (error.kind) {
    case 'closed':
    case 'unwritable':
    case 'overloaded':
    case 'broken':
      return new CallError(status.UNAVAILABLE, error.message);
    case 'tooLarge':
      return tooLarge(appendBytesMax);
    case 'invalid':
      return invalidArgument(error.message);
    case 'corrupt':
    case 'newerFormat':
      return new CallError(status.DATA_LOSS, error.message);
  }
}

import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { AppendOutcomeUnknown, EventLogUnavailable } from '../../../application/ports/event-log';

/** Of a node that does not take the call at all: it has not begun to do what it was asked. */
const REFUSED_EXCEPTIONS = new Set(['not-leader', 'access-denied']);

const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'number' &&
  'metadata' in error &&
  error.metadata instanceof Metadata;

const exceptionOf = (error: ServiceError): string | undefined =>
  error.metadata.get('exception')[0]?.toString();

export const isStreamDeleted = (error: unknown): boolean =>
  isServiceError(error) && exceptionOf(error) === 'stream-deleted';

/** Whether a call ended because it, or the node, ends: subscriptions then begin again elsewhere. */
export const isGoneAway = (error: unknown): boolean =>
  isServiceError(error) && (error.code === status.CANCELLED || error.code === status.UNAVAILABLE);

/** A failed read as the port's error. */
export function readFailure(error: unknown): Error {
  if (!isServiceError(error)) return error instanceof Error ? error : new Error(String(error));
  if (error.code === status.INVALID_ARGUMENT) return new RangeError(error.details, { cause: error });
  return new EventLogUnavailable(error.details || error.message, { cause: error });
}

/**
 * A broken stream of appends as the port's error for one append that waits on it.
 * @param answered the stream has answered an append before: it was accepted, so this one may have been done
 */
export function appendFailure(error: unknown, answered: boolean): Error {
  if (error instanceof EventLogUnavailable) return error;
  if (isServiceError(error) && !answered) {
    const refused =
      REFUSED_EXCEPTIONS.has(exceptionOf(error) ?? '') ||
      error.code === status.UNAUTHENTICATED ||
      error.code === status.UNIMPLEMENTED ||
      error.details.startsWith('No connection established') ||
      error.details.startsWith('Name resolution failed');
    if (refused) return new EventLogUnavailable(error.details, { cause: error });
  }
  return new AppendOutcomeUnknown(`the connection broke: ${String(error)}`, { cause: error });
}

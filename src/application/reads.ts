import { isUnavailable } from './outcomes';
import type { ReadRefusal, ReadResult } from './queries/queries';

export const found = <T>(value: T): ReadResult<T> => ({ kind: 'found', value });

export const refuseRead = (
  code: ReadRefusal['code'],
  detail: string,
  field?: string,
): Extract<ReadResult<never>, { kind: 'refused' }> => ({
  kind: 'refused',
  refusal: { code, detail, ...(field === undefined ? {} : { field }) },
});

/** One answer for what is not there and for what is somebody else's: existence is not leaked. */
export const NOT_FOUND = refuseRead('not_found', 'There is no such conversation, or you may not read it.');
export const NO_MESSAGE = refuseRead('not_found', 'There is no such message, or you may not read it.');
export const BEHIND = refuseRead('unavailable', 'The read model does not hold this yet. Try again.');
const STORE_DOWN = refuseRead('unavailable', 'A store cannot be reached right now. Try again.');

/** Runs a query's work; a store that is down is an answer, anything else a bug that goes on. */
export async function orRefused<T>(work: () => Promise<ReadResult<T>>): Promise<ReadResult<T>> {
  try {
    return await work();
  } catch (error) {
    if (isUnavailable(error)) return STORE_DOWN;
    throw error;
  }
}

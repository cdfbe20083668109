import type { RefusalCode } from '../domain/conversation/commands';
import type { Outcome } from './outcome';
import { EventLogUnavailable } from './ports/event-log';
import { StoreUnavailable } from './ports/store-unavailable';

/** What a device is told to wait before it tries again; a store's restart takes a second or two. */
export const RETRY_AFTER_MS = 1_000;

export const unavailable = (detail: string): Outcome => ({
  kind: 'unavailable',
  detail,
  retryAfterMs: RETRY_AFTER_MS,
});

export const refused = (code: RefusalCode, detail: string, field?: string): Outcome => ({
  kind: 'refused',
  refusal: { code, detail, ...(field === undefined ? {} : { field }) },
});

/** A store that is down, as opposed to a bug. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof StoreUnavailable || error instanceof EventLogUnavailable;

// Sentences for devices: which store it is, and where, stays in the logs.
export const LOG_UNAVAILABLE = unavailable('The conversation cannot be reached right now. Try again.');
export const STORE_UNAVAILABLE = unavailable('A store cannot be reached right now. Try again.');

/** Runs a command's work; a store that is down is an answer, anything else a bug that goes on. */
export async function orUnavailable<T>(
  whenDown: (outcome: Outcome) => T,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isUnavailable(error)) return whenDown(STORE_UNAVAILABLE);
    throw error;
  }
}

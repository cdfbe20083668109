import type { LogEvent } from '../application/ports/event-log';
import type { ProjectorProgress } from '../../projections/runner/projector';

/** Where the thread gets its events from. */
export type EventSource =
  /** The embedded store in this folder, open in the main thread. */
  | { readonly kind: 'embedded'; readonly path: string }
  | { readonly kind: 'esdb'; readonly connectionString: string; readonly streamPrefix?: string };

/** What the thread is started with. */
export interface ThreadStart {
  readonly databaseUrl: string;
  readonly source: EventSource;
}

export type ToThread =
  /** The embedded log goes up to here, on the disk. */
  | { readonly kind: 'grown'; readonly position: number }
  /** Finish the batch in hand, give the lease back, end. */
  | { readonly kind: 'stop' };

type Level = 'info' | 'warn' | 'error';

/** An error of the other thread: what is left of it when it has been copied. */
export interface ToldError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

export type FromThread =
  | { readonly kind: 'progress'; readonly progress: ProjectorProgress }
  | { readonly kind: 'poison'; readonly event: LogEvent; readonly error: ToldError }
  | { readonly kind: 'log'; readonly level: Level; readonly fields: object; readonly message: string }
  | {
      readonly kind: 'measured';
      readonly labels: { readonly kind: 'statement' | 'transaction'; readonly pool: string };
      readonly ms: number;
    }
  | { readonly kind: 'storeFailure' };

export const told = (error: unknown): ToldError =>
  error instanceof Error
    ? { name: error.name, message: error.message, stack: error.stack }
    : { name: 'Error', message: String(error), stack: undefined };

/** The error again, as far as it can be had. */
export function toError({ name, message, stack }: ToldError): Error {
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}

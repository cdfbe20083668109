import type { LogEvent } from '../application/ports/event-log';
import type { ErrorDescription } from '../observability/describe-error';
import type { ProjectorProgress } from '../../projections/runner/projector';

/** Where the thread gets its events from. */
export type EventSource =
  /** The embedded store in this folder, open in the main thread. */
  | { readonly kind: 'embedded'; readonly path: string }
  /** On one server, or on several in the order of the shards. */
  | { readonly kind: 'esdb'; readonly urls: readonly string[]; readonly streamPrefix?: string };

/** What the thread is started with. */
export interface ThreadStart {
  readonly databaseUrl: string;
  readonly source: EventSource;
  /** Spans of batches go to the collector that the process's environment names. */
  readonly traced: boolean;
}

export type ToThread =
  /** The embedded log goes up to here, on the disk. */
  | { readonly kind: 'grown'; readonly position: number }
  /** Finish the batch in hand, give the lease back, end. */
  | { readonly kind: 'stop' };

type Level = 'info' | 'warn' | 'error';

export type FromThread =
  | { readonly kind: 'progress'; readonly progress: ProjectorProgress }
  | { readonly kind: 'poison'; readonly event: LogEvent; readonly error: ErrorDescription }
  | {
      readonly kind: 'log';
      readonly level: Level;
      readonly fields: object;
      readonly error?: ErrorDescription;
      readonly message: string;
    }
  | {
      readonly kind: 'measured';
      readonly labels: { readonly kind: 'statement' | 'transaction'; readonly pool: string };
      readonly ms: number;
    }
  | { readonly kind: 'storeFailure' };

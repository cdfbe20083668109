import { setTimeout as sleep } from 'node:timers/promises';
import { EventLogUnavailable, type EventLog, type LogEvent } from '../../src/application/ports/event-log';
import { beginStep, isTracing, type Step } from '../../src/application/ports/tracing';
import { StoreUnavailable } from '../../src/application/ports/store-unavailable';
import { CONVERSATION_STREAM_PREFIX } from '../../src/domain/conversation/streams';
import type { Database } from '../../src/infrastructure/postgres/database';
import type { Clock } from '../../src/kernel/clock';
import {
  formatPosition,
  furthest,
  hasPassed,
  nearest,
  POSITION_START,
  type Position,
} from '../../src/kernel/position';
import type { Projection } from '../projection';
import { Batch, inOrder, type EncodedBatch } from './batch';
import { readCheckpoints, writeCheckpoints } from './checkpoints';
import { Intake, type Taken } from './intake';
import { Lease, LEASE_MS, LeaseLost } from '../../src/infrastructure/postgres/lease';
import { recordedOf } from './recorded-of';

/** Events in one transaction at most. */
export const BATCH_EVENTS_MAX = 1_000;
/** Batches that are read ahead of the database at most. */
const INTAKE_BATCHES_MAX = 2;
/** Under steady traffic one commit per so many ms: a commit costs as much as dozens of events. */
const COMMIT_INTERVAL_MS = 10;
/** How often the checkpoint follows a log in which nothing of ours happens. */
const IDLE_CHECKPOINT_INTERVAL_MS = 100;
const RENEW_INTERVAL_MS = Math.floor(LEASE_MS / 3);
const STANDBY_POLL_MS = 1_000;
const RETRY_MIN_MS = 50;
/** Also how long a read model lags at most after its store has come back. */
const RETRY_MAX_MS = 5_000;

export interface ProjectorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ProjectorProgress {
  /** All projections of the group have passed it, durably as far as their own rows are. */
  readonly position: Position;
  /** Applied in this transaction. */
  readonly events: number;
  /** From the recording of the last of these events to now; 0 when there were none. */
  readonly lagMs: number;
}

export interface ProjectorOptions {
  readonly eventLog: Pick<EventLog, 'subscribe'>;
  /** Of its own, or with at least three connections to spare: the lease, its renewal, the writing. */
  readonly database: Database;
  readonly projections: readonly Projection[];
  /** Name of the lease: projectors of one group exclude each other. */
  readonly group: string;
  /** Who holds the lease, for people who look at the table; unique per process. */
  readonly owner: string;
  readonly clock: Clock;
  readonly log: ProjectorLog;
  /** Where the tables are. Default `read`. */
  readonly schema?: string;
  /** Events in one transaction at most; BATCH_EVENTS_MAX unless told. Larger ones are cheaper, and later. */
  readonly batchEventsMax?: number;
  readonly onProgress?: (progress: ProjectorProgress) => void;
  /** An event that cannot be projected; called again with every attempt. Nothing after it is projected. */
  readonly onPoison?: (event: LogEvent, error: unknown) => void;
}

/** What failed is in the events or in our code, not in the stores. */
class BatchFailed extends Error {
  override readonly name = 'BatchFailed';
  constructor(
    readonly events: readonly LogEvent[],
    override readonly cause: unknown,
  ) {
    super(`a batch of ${events.length} events failed`);
  }
}

/** The read models are not where this projector left them: what it has in mind for them would leave a hole. */
class ReadModelsMoved extends Error {
  override readonly name = 'ReadModelsMoved';
}

/**
 * Keeps a group of read models up to date: one subscription, batches as large as what has gathered, rows and
 * checkpoints in one transaction under the lease. A second one of the same group stands by.
 *
 * Stores that fail are waited for. An event that a projection fails on stops the whole group there, loudly: going
 * on without it would break the promise that the tables equal the fold of the log, and nobody would notice.
 */
export class Projector {
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();
  /** Halved by a batch that fails, until the one event at fault stands alone; doubled by one that succeeds. */
  private limit: number;
  private failures = 0;
  private readonly batchEventsMax: number;

  constructor(private readonly options: ProjectorOptions) {
    this.batchEventsMax = options.batchEventsMax ?? BATCH_EVENTS_MAX;
    this.limit = this.batchEventsMax;
  }

  start(): void {
    this.running = this.run();
  }

  /** Ends after the batch in hand, if any, and gives the lease back. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        const lease = await Lease.acquire(this.options.database, this.options.group, this.options.owner);
        if (lease === undefined) await pause(STANDBY_POLL_MS, signal);
        else await this.lead(lease);
      } catch (error) {
        await pause(this.judge(error), signal);
      }
    }
  }

  private async lead(lease: Lease): Promise<void> {
    const { group, log } = this.options;
    log.info({ group }, 'projecting');
    const over = new AbortController();
    const signal = AbortSignal.any([this.stopping.signal, lease.lost, over.signal]);
    const renewing = this.keepRenewing(lease, signal);
    try {
      await this.follow(lease, signal);
    } finally {
      over.abort();
      await renewing;
      await lease.release();
    }
  }

  private async keepRenewing(lease: Lease, signal: AbortSignal): Promise<void> {
    await pause(RENEW_INTERVAL_MS, signal);
    while (!signal.aborted) {
      try {
        await lease.renew();
      } catch (error) {
        this.options.log.warn({ group: lease.name, error }, 'could not renew the lease');
      }
      await pause(RENEW_INTERVAL_MS, signal);
    }
  }

  /** Ends when the subscription does, or `signal` aborts. */
  private async follow(lease: Lease, signal: AbortSignal): Promise<void> {
    const { database, eventLog, projections } = this.options;
    const names = projections.map(({ name }) => name);
    const positions = await readCheckpoints(database, names);
    const from = [...positions.values()].reduce(nearest);
    const over = new AbortController();
    const intake = new Intake(INTAKE_BATCHES_MAX * this.batchEventsMax, from);
    const end = (): void => {
      over.abort();
      intake.close();
    };
    signal.addEventListener('abort', end);
    const filling = intake.fill(
      eventLog.subscribe({
        after: from,
        filter: { streamPrefixes: [CONVERSATION_STREAM_PREFIX] },
        signal: over.signal,
      }),
    );
    try {
      if (signal.aborted) return;
      await this.applyAll(lease, intake, positions);
    } finally {
      signal.removeEventListener('abort', end);
      end();
      await filling;
    }
  }

  private async applyAll(
    lease: Lease,
    intake: Intake,
    positions: ReadonlyMap<string, Position>,
  ): Promise<void> {
    let committed = -Infinity;
    let standing = positions;
    let writing = Promise.resolve();
    try {
      for (;;) {
        const taken = await intake.take(this.limit, {
          eventsDue: committed + COMMIT_INTERVAL_MS,
          idleDue: committed + IDLE_CHECKPOINT_INTERVAL_MS,
        });
        if (taken === undefined) return;
        const batch = this.encode(taken, positions);
        await writing;
        const reached = new Map([...positions].map(([name, at]) => [name, furthest(taken.position, at)]));
        writing = this.write(lease, taken, batch, { standing, reached });
        standing = reached;
        // With a whole batch more to come, it is made ready while Postgres works on this one; else there is nothing
        // to do meanwhile, and what gathers during the write belongs into one batch.
        if (intake.size < this.limit) await writing;
        committed = performance.now();
      }
    } finally {
      await writing;
    }
  }

  private encode({ events }: Taken, positions: ReadonlyMap<string, Position>): EncodedBatch {
    try {
      const batch = new Batch(this.options.projections);
      for (const event of events) {
        const recorded = recordedOf(event);
        if (recorded === undefined) continue;
        for (const projection of this.options.projections) {
          // One that is further than the others has these already.
          const known = positions.get(projection.name);
          if (known === undefined || !hasPassed(known, event.position)) batch.add(projection, recorded);
        }
      }
      return batch.encode();
    } catch (error) {
      throw new BatchFailed(events, error);
    }
  }

  private async write(
    lease: Lease,
    taken: Taken,
    batch: EncodedBatch,
    { standing, reached }: Readonly<Record<'standing' | 'reached', ReadonlyMap<string, Position>>>,
  ): Promise<void> {
    const { database, schema = 'read' } = this.options;
    const { position } = taken;
    const step = beginBatch(taken.events, lease.name);
    try {
      await database.transaction(async (client) => {
        // Sent in one go: a dozen round trips a batch would cost more than its rows. Nothing counts before COMMIT,
        // which waits for all of them, the fence first.
        await inOrder([
          lease.fence(client, schema),
          batch.apply(client),
          writeCheckpoints(client, reached, { group: lease.name, position }).then((stood) => {
            expectStanding(standing, stood);
          }),
        ]);
      });
    } catch (error) {
      const isElsewhere =
        error instanceof LeaseLost || error instanceof StoreUnavailable || error instanceof ReadModelsMoved;
      step?.end(isElsewhere ? 'unavailable' : 'internal');
      if (isElsewhere) throw error;
      throw new BatchFailed(taken.events, error);
    }
    step?.end();
    this.succeeded(taken);
  }

  private succeeded({ events, position }: Taken): void {
    this.failures = 0;
    this.limit = Math.min(this.batchEventsMax, this.limit * 2);
    const last = events.at(-1);
    const lagMs = last === undefined ? 0 : Math.max(0, this.options.clock.now() - last.created);
    this.options.onProgress?.({ position, events: events.length, lagMs });
  }

  /** Says what went wrong. @returns how long to wait before the next attempt, in ms */
  private judge(error: unknown): number {
    const { group, log, onPoison } = this.options;
    if (error instanceof LeaseLost) {
      log.warn({ group }, 'another projector took over; standing by');
      return STANDBY_POLL_MS;
    }
    if (error instanceof BatchFailed && error.events.length > 1) {
      // To find the one event at fault, and to have everything before it projected.
      this.limit = Math.max(1, Math.floor(error.events.length / 2));
      return 0;
    }
    const retryInMs = this.backOff();
    const event = error instanceof BatchFailed ? error.events[0] : undefined;
    if (error instanceof ReadModelsMoved) {
      log.warn({ group, error, retryInMs }, 'going on from where the read models are');
    } else if (error instanceof StoreUnavailable || error instanceof EventLogUnavailable) {
      log.warn({ group, error, retryInMs }, 'a store is away; projecting again when it is back');
    } else if (event === undefined) {
      log.error({ group, error, retryInMs }, 'projecting failed');
    } else {
      const { stream, revision, type } = event;
      const at = { stream, revision: revision.toString(), type };
      const { cause } = error as BatchFailed;
      log.error(
        { group, ...at, error: cause, retryInMs },
        'this event cannot be projected: the group stands still',
      );
      onPoison?.(event, cause);
    }
    return retryInMs;
  }

  /** Doubles with every failure in a row; half of it is random, so that many do not come back at once. */
  private backOff(): number {
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.failures++, 10));
    return ceiling / 2 + Math.random() * (ceiling / 2);
  }
}

/** Under the first of the events that somebody traces, linked to the others: one transaction served them all. */
function beginBatch(events: readonly LogEvent[], group: string): Step | undefined {
  if (!isTracing()) return undefined;
  const traceparents = events.flatMap(({ metadata }) => {
    const given: unknown = (metadata as { traceparent?: unknown } | undefined)?.traceparent;
    return typeof given === 'string' ? [given] : [];
  });
  const attributes = { 'parley.group': group, 'parley.events': events.length };
  return beginStep('project', 'consumer', traceparents, attributes);
}

/**
 * Commits are asynchronous, so a server that crashed may come back without the last ones that it had confirmed, and
 * with the same lease: the next batch must not go on top of what is gone. @throws ReadModelsMoved
 */
function expectStanding(
  believed: ReadonlyMap<string, Position>,
  actual: ReadonlyMap<string, Position>,
): void {
  for (const [name, position] of believed) {
    const found = actual.get(name) ?? POSITION_START;
    if (hasPassed(found, position)) continue;
    const [left, at] = [position, found].map(formatPosition);
    throw new ReadModelsMoved(`${name} was left at ${left}, and is at ${at}`);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // Being stopped is an ordinary end of waiting.
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

import { setTimeout as sleep } from 'node:timers/promises';
import { READ_EVENTS_MAX, type EventLog } from '../../src/application/ports/event-log';
import { CONVERSATION_STREAM_PREFIX } from '../../src/domain/conversation/streams';
import type { PoolClient } from 'pg';
import { StoreUnavailable } from '../../src/application/ports/store-unavailable';
import type { Queryable } from '../../src/infrastructure/postgres/database';
import { furthest, hasPassed, POSITION_START, type Position } from '../../src/kernel/position';
import { LIVE_GROUP } from '../live';
import type { Projection } from '../projection';
import { Batch } from '../runner/batch';
import { readCheckpoints, writeCheckpoints } from '../runner/checkpoints';
import { Projector, type ProjectorOptions } from '../runner/projector';
import { recordedOf } from '../runner/recorded-of';
import { compareTables, type TableChecksums } from './checksums';
import { dropSideSchema, makeSideSchema, SIDE_SCHEMA, swapTables } from './side-schema';

/** How long the live projector is kept waiting at most, for each of the two times that it is. */
const HOLD_MS_MAX = 15_000;
/** Readers of a table in a long transaction keep it from being swapped; then the swap is tried again. */
const SWAP_LOCK_MS_MAX = 2_000;
const SWAP_ATTEMPTS_MAX = 30;
/** Nobody waits for the single event here: rows that change often are written once for many events. */
const BATCH_EVENTS_MAX = 10_000;
const POLL_MS = 50;
/** Enough to see one of each shard. */
const LOOK_AHEAD_EVENTS = 64;
/** Without any progress, of the rebuild or of the live projector it waits for. */
const STALL_MS_MAX = 60_000;
const CONVERSATIONS = { streamPrefixes: [CONVERSATION_STREAM_PREFIX] };
const LOCK_NOT_AVAILABLE = '55P03';
/** The side schema is one, so rebuilds are one at a time; first key of the advisory lock, beside the leases'. */
const LOCK_CLASS = 0x7061_7263;

export interface RebuildProgress {
  readonly events: number;
  readonly position: Position;
  /** The log's end when the rebuild began; what came since is caught up with, too. */
  readonly goal: Position;
}

export interface RebuildOptions extends Pick<ProjectorOptions, 'database' | 'clock' | 'log' | 'owner'> {
  readonly eventLog: EventLog;
  readonly projection: Projection;
  /** Also put in place when it differs from the live one: that is how a damaged read model is repaired. */
  readonly replaceDifferent?: boolean;
  readonly onProgress?: (progress: RebuildProgress) => void;
}

export interface RebuildOutcome {
  readonly events: number;
  /** At one position of the log. */
  readonly tables: readonly TableChecksums[];
  readonly swapped: boolean;
}

/** Nothing was changed: the tables that serve are as they were. */
export class RebuildFailed extends Error {
  override readonly name = 'RebuildFailed';
}

/**
 * Builds a read model anew beside the one that serves, follows the log until both stand at the same position,
 * compares them there table by table, and swaps them in one transaction. The live projector is held twice, for the
 * time of a small batch; readers notice nothing. Killed anywhere, it leaves the live model as it was.
 * @throws RebuildFailed
 */
export async function rebuild(options: RebuildOptions): Promise<RebuildOutcome> {
  return new Rebuild(options).run();
}

class Rebuild {
  /** Under a name of its own, so that it has a checkpoint of its own. */
  private readonly side: Projection;
  private events = 0;

  constructor(private readonly options: RebuildOptions) {
    this.side = { ...options.projection, name: `${options.projection.name}+rebuild` };
  }

  async run(): Promise<RebuildOutcome> {
    const { database, replaceDifferent = false } = this.options;
    const session = await this.onlyOne();
    try {
      await database.transaction(async (client) => {
        await makeSideSchema(client);
        await this.forgetCheckpoint(client);
      });
      await this.follow();
      const tables = await this.compare();
      const swapped = replaceDifferent || tables.every(({ equal }) => equal);
      if (swapped) {
        await this.follow();
        await this.swap();
      }
      return { events: this.events, tables, swapped };
    } finally {
      await this.cleanUp();
      // Ends the session, and with it the lock.
      session.release(true);
    }
  }

  private async onlyOne(): Promise<PoolClient> {
    const session = await this.options.database.connect();
    const { rows } = await session.query<{ locked: boolean }>(
      'SELECT pg_try_advisory_lock($1, 0) AS locked',
      [LOCK_CLASS],
    );
    if (rows[0]?.locked === true) return session;
    session.release(true);
    throw new RebuildFailed('another rebuild is under way');
  }

  /** Applies the log until its end as of now, in large batches, as the live projector does. */
  private async follow(): Promise<void> {
    const { eventLog, onProgress } = this.options;
    const goal = await eventLog.head();
    const projector = new Projector({
      ...this.options,
      projections: [this.side],
      group: this.side.name,
      schema: SIDE_SCHEMA,
      batchEventsMax: BATCH_EVENTS_MAX,
      onProgress: ({ events, position }) => {
        this.events += events;
        onProgress?.({ events: this.events, position, goal });
      },
    });
    projector.start();
    try {
      await this.reached(this.side, goal);
    } finally {
      await projector.stop();
    }
  }

  /** Both at one position, then compared in a snapshot of that moment while the live one goes on. */
  private async compare(): Promise<readonly TableChecksums[]> {
    const { database, projection } = this.options;
    const snapshot = await database.connect();
    try {
      await this.holdingLive(async (live) => {
        await database.transaction((client) => this.catchUp(client, live));
        await snapshot.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        // The snapshot is taken by the first statement; the tables may be large.
        await snapshot.query('SET LOCAL statement_timeout = 0');
        await snapshot.query('SELECT 1');
      });
      const client: Queryable = {
        query: async (text, values = []) => (await snapshot.query(text, [...values])).rows as never,
      };
      return await compareTables(client, projection.tables);
    } finally {
      snapshot.release(true);
    }
  }

  private async swap(): Promise<void> {
    const { projection } = this.options;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.holdingLive(async (live, client) => {
          await this.catchUp(client, live);
          await client.query(`SET LOCAL lock_timeout = ${SWAP_LOCK_MS_MAX}`);
          await swapTables(client, projection);
        });
        return;
      } catch (error) {
        if ((error as { readonly code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
        if (attempt >= SWAP_ATTEMPTS_MAX)
          throw new RebuildFailed('the live tables are never free', { cause: error });
        await this.follow();
      }
    }
  }

  /**
   * Keeps the live projector from writing while `work` runs, and gives the position at which it stands; `client` is
   * the transaction that holds it. The rebuild is behind that position then, or at it.
   */
  private async holdingLive(work: (live: Position, client: Queryable) => Promise<void>): Promise<void> {
    const { database, projection } = this.options;
    const side = await this.positionOf(database, this.side);
    await this.reached(projection, side);
    await database.transaction(async (client) => {
      await client.query(`SET LOCAL statement_timeout = ${HOLD_MS_MAX}`);
      // Also while this transaction waits for the log or for another connection, not only for its own statements.
      await client.query(`SET LOCAL idle_in_transaction_session_timeout = ${HOLD_MS_MAX}`);
      // Every writing transaction of the live projector shares a lock on this row from its first statement on.
      await client.query('SELECT FROM read.leases WHERE name = $1 FOR UPDATE', [LIVE_GROUP]);
      await work(await this.positionOf(client, projection), client);
    });
  }

  /** The few events between the rebuild's checkpoint and the live one's. */
  private async catchUp(client: Queryable, goal: Position): Promise<void> {
    const { eventLog } = this.options;
    let after = await this.positionOf(client, this.side);
    await client.query(`SET LOCAL search_path = ${SIDE_SCHEMA}`);
    while (!hasPassed(after, goal)) {
      const page = await eventLog.readAll({
        after,
        limit: READ_EVENTS_MAX,
        filter: CONVERSATIONS,
      });
      const batch = new Batch([this.side]);
      for (const event of page.events) {
        const recorded = hasPassed(goal, event.position) ? recordedOf(event) : undefined;
        if (recorded !== undefined) batch.add(this.side, recorded);
      }
      await batch.encode().apply(client);
      this.events += page.events.length;
      after = page.endOfLog ? furthest(after, goal) : page.next;
    }
    await writeCheckpoints(client, new Map([[this.side.name, goal]]), {
      group: this.side.name,
      position: goal,
    });
  }

  /** @throws RebuildFailed when nothing moves for STALL_MS_MAX */
  private async reached(projection: Projection, goal: Position): Promise<void> {
    let last = POSITION_START;
    let movedAt = performance.now();
    for (;;) {
      const position = await this.positionOf(this.options.database, projection);
      if (hasPassed(position, goal) || (await this.nothingBetween(position, goal))) return;
      if (!hasPassed(last, position)) [last, movedAt] = [position, performance.now()];
      if (performance.now() - movedAt > STALL_MS_MAX) {
        throw new RebuildFailed(
          `${projection.name} does not move: is a projector running, and the store there?`,
        );
      }
      await sleep(POLL_MS);
    }
  }

  /** A checkpoint says less than it could while nothing of ours happens in the log. */
  private async nothingBetween(position: Position, goal: Position): Promise<boolean> {
    const page = await this.options.eventLog.readAll({
      after: position,
      limit: LOOK_AHEAD_EVENTS,
      filter: CONVERSATIONS,
    });
    if (page.events.some((next) => hasPassed(goal, next.position))) return false;
    return page.endOfLog || hasPassed(page.next, goal);
  }

  private async positionOf(client: Queryable, { name }: Projection): Promise<Position> {
    return (await readCheckpoints(client, [name])).get(name) ?? POSITION_START;
  }

  private async forgetCheckpoint(client: Queryable): Promise<void> {
    await client.query('DELETE FROM read.checkpoints WHERE projection = $1', [this.side.name]);
  }

  private async cleanUp(): Promise<void> {
    try {
      await this.options.database.transaction(async (client) => {
        await dropSideSchema(client);
        await this.forgetCheckpoint(client);
      });
    } catch (error) {
      // Postgres is away: the next rebuild begins by dropping what this one leaves.
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }
}

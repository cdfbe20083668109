import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import {
  EventLogUnavailable,
  READ_EVENTS_MAX,
  type AllRead,
  type EventLog,
} from '../../src/application/ports/event-log';
import { CONVERSATION_STREAM_PREFIX } from '../../src/domain/conversation/streams';
import type { Client } from 'pg';
import { StoreUnavailable } from '../../src/application/ports/store-unavailable';
import type { Queryable } from '../../src/infrastructure/postgres/database';
import { furthest, hasPassed, POSITION_START, type Position } from '../../src/kernel/position';
import { LIVE_GROUP } from '../live';
import type { Projection } from '../projection';
import { Batch } from '../runner/batch';
import { readCheckpoints, writeCheckpoints } from '../runner/checkpoints';
import { Projector, type ProjectorOptions } from '../runner/projector';
import { recordedOf } from '../runner/recorded-of';
import { BulkLoad } from './bulk-load';
import { compareTables, type TableChecksums } from './checksums';
import { dropSideSchema, makeSideSchema, SIDE_SCHEMA, swapTables } from './side-schema';

/** How long the live projector is kept waiting at most, for each of the two times that it is. */
const HOLD_MS_MAX = 15_000;
/** Readers of a table in a long transaction keep it from being swapped; then the swap is tried again. */
const SWAP_LOCK_MS_MAX = 2_000;
const SWAP_ATTEMPTS_MAX = 30;
/** Nobody waits for the single event here: rows that change often are written once for many events. */
const BATCH_EVENTS_MAX = 10_000;
/** Of one page of the bulk load; between pages the sockets get their turn. */
const LOAD_EVENTS_MAX = 512;
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
  /** Built in one pass through the log, then put in place one after another. */
  readonly projections: readonly Projection[];
  /** Also put in place when it differs from the live one: that is how a damaged read model is repaired. */
  readonly replaceDifferent?: boolean;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Default HOLD_MS_MAX. */
  readonly holdMsMax?: number;
  /** Default PIECE_EVENTS_MAX. */
  readonly pieceEventsMax?: number;
}

export interface RebuiltModel {
  readonly name: string;
  /** At one position of the log. */
  readonly tables: readonly TableChecksums[];
  readonly swapped: boolean;
}

export interface RebuildOutcome {
  /** Each counted once, whatever the number of models. */
  readonly events: number;
  readonly models: readonly RebuiltModel[];
}

/** Nothing was changed: the tables that serve are as they were. */
export class RebuildFailed extends Error {
  override readonly name = 'RebuildFailed';
}

/**
 * Builds read models anew beside those that serve: loads the log in bulk, follows it until both stand at the same
 * position, compares them there table by table, and swaps them in one transaction each. The live projector is held
 * twice for each, for the time of a small batch; readers notice nothing. Killed anywhere, it leaves the live models as
 * they were, or as they are now.
 * @throws RebuildFailed, and what a projection throws for an event that it fails on
 */
export async function rebuild(options: RebuildOptions): Promise<RebuildOutcome> {
  return new Rebuild(options).run();
}

/** A model, and what it is called while it is built: it has a checkpoint of its own. */
interface Building {
  readonly live: Projection;
  readonly side: Projection;
}

class Rebuild {
  private readonly buildings: readonly Building[];
  private events = 0;

  constructor(private readonly options: RebuildOptions) {
    this.buildings = options.projections.map((live) => ({
      live,
      side: { ...live, name: `${live.name}+rebuild` },
    }));
  }

  async run(): Promise<RebuildOutcome> {
    const session = await this.onlyOne();
    try {
      await this.options.database.transaction(async (client) => {
        await makeSideSchema(client);
        await this.forgetCheckpoints(client);
      });
      await this.load(session);
      const models: RebuiltModel[] = [];
      for (const building of this.buildings) models.push(await this.replace(session, building));
      return { events: this.events, models };
    } finally {
      await this.cleanUp();
      // Ends the lock, too.
      await session.end().catch(() => undefined);
    }
  }

  private async replace(session: Client, building: Building): Promise<RebuiltModel> {
    const { replaceDifferent = false } = this.options;
    await this.follow(building);
    const tables = await this.compare(session, building);
    const swapped = replaceDifferent || tables.every(({ equal }) => equal);
    if (swapped) {
      await this.follow(building);
      await this.swap(building);
    }
    return { name: building.live.name, tables, swapped };
  }

  private async onlyOne(): Promise<Client> {
    const session = await this.options.database.session();
    const { rows } = await session.query<{ locked: boolean }>(
      'SELECT pg_try_advisory_lock($1, 0) AS locked',
      [LOCK_CLASS],
    );
    if (rows[0]?.locked === true) return session;
    await session.end();
    throw new RebuildFailed('another rebuild is under way');
  }

  /** The log until its end as of now, into all models at once. */
  private async load(session: Client): Promise<void> {
    const { eventLog, database, onProgress } = this.options;
    const goal = await eventLog.head();
    const sides = this.buildings.map(({ side }) => side);
    const bulk = new BulkLoad(session, sides, this.options.pieceEventsMax);
    await bulk.begin();
    let position = POSITION_START;
    for (let page: AllRead | undefined; page?.endOfLog !== true && !hasPassed(position, goal);) {
      page = await this.page(position);
      // A log in this process is read without any waiting: what was read before would not get to Postgres.
      await nextTurn();
      await bulk.add(page.events);
      this.events += page.events.length;
      position = page.next;
      onProgress?.({ events: this.events, position, goal });
    }
    await bulk.finish();
    const names = sides.map(({ name }) => name);
    await writeCheckpoints(database, new Map(names.map((name) => [name, position])), {
      group: names.join(' '),
      position,
    });
  }

  /** Waits for an event log that is away. @throws EventLogUnavailable when it stays away for STALL_MS_MAX */
  private async page(after: Position): Promise<AllRead> {
    for (const startedAt = performance.now(); ;) {
      try {
        return await this.read(after, LOAD_EVENTS_MAX);
      } catch (error) {
        const isAway = error instanceof EventLogUnavailable;
        if (!isAway || performance.now() - startedAt > STALL_MS_MAX) throw error;
        await sleep(POLL_MS);
      }
    }
  }

  /** Applies what came since, until the log's end as of now, in large batches, as the live projector does. */
  private async follow({ side }: Building): Promise<void> {
    const { eventLog, onProgress } = this.options;
    const goal = await eventLog.head();
    if (hasPassed(await this.positionOf(this.options.database, side), goal)) return;
    const projector = new Projector({
      ...this.options,
      projections: [side],
      group: side.name,
      schema: SIDE_SCHEMA,
      batchEventsMax: BATCH_EVENTS_MAX,
      onProgress: ({ events, position }) => {
        this.events += events;
        onProgress?.({ events: this.events, position, goal });
      },
    });
    projector.start();
    try {
      await this.reached(side, goal);
    } finally {
      await projector.stop();
    }
  }

  /** Both at one position, then compared in a snapshot of that moment while the live one goes on. */
  private async compare(session: Client, building: Building): Promise<readonly TableChecksums[]> {
    const { database } = this.options;
    const snapshot = await database.session();
    try {
      await this.holdingLive(building, async (live) => {
        await database.transaction((client) => this.catchUp(client, building, live));
        // The snapshot is taken by the first statement.
        await snapshot.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        await snapshot.query('SELECT 1');
      });
      return await compareTables(snapshot, session, building.live.tables);
    } finally {
      await snapshot.end();
    }
  }

  private async swap(building: Building): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.holdingLive(building, async (live, client) => {
          await this.catchUp(client, building, live);
          await client.query(`SET LOCAL lock_timeout = ${SWAP_LOCK_MS_MAX}`);
          await swapTables(client, building.live);
        });
        return;
      } catch (error) {
        if ((error as { readonly code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
        if (attempt >= SWAP_ATTEMPTS_MAX)
          throw new RebuildFailed('the live tables are never free', { cause: error });
        await this.follow(building);
      }
    }
  }

  /**
   * Keeps the live projector from writing while `work` runs, and gives the position at which it stands; `client` is
   * the transaction that holds it. The rebuild is behind that position then, or at it.
   */
  private async holdingLive(
    { live, side }: Building,
    work: (position: Position, client: Queryable) => Promise<void>,
  ): Promise<void> {
    const { database } = this.options;
    await this.reached(live, await this.positionOf(database, side));
    await database.transaction(async (client) => {
      // Statements, and the times between them in which this transaction waits for the log or another connection; from
      // version 17 on the server also knows a bound for all of it together.
      await client.query(
        `SELECT set_config(name, $1, true) FROM pg_settings
         WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`,
        [String(this.options.holdMsMax ?? HOLD_MS_MAX)],
      );
      // Every writing transaction of the live projector shares a lock on this row from its first statement on.
      await client.query('SELECT FROM read.leases WHERE name = $1 FOR UPDATE', [LIVE_GROUP]);
      await work(await this.positionOf(client, live), client);
    });
  }

  /** The few events between the rebuild's checkpoint and the live one's. */
  private async catchUp(client: Queryable, { side }: Building, goal: Position): Promise<void> {
    let after = await this.positionOf(client, side);
    await client.query(`SET LOCAL search_path = ${SIDE_SCHEMA}`);
    while (!hasPassed(after, goal)) {
      const page = await this.read(after, READ_EVENTS_MAX);
      const batch = new Batch([side]);
      for (const event of page.events) {
        const recorded = hasPassed(goal, event.position) ? recordedOf(event) : undefined;
        if (recorded !== undefined) batch.add(side, recorded);
      }
      await batch.encode().apply(client);
      this.events += page.events.length;
      after = page.endOfLog ? furthest(after, goal) : page.next;
    }
    await writeCheckpoints(client, new Map([[side.name, goal]]), { group: side.name, position: goal });
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
    const page = await this.read(position, LOOK_AHEAD_EVENTS);
    if (page.events.some((next) => hasPassed(goal, next.position))) return false;
    return page.endOfLog || hasPassed(page.next, goal);
  }

  private read(after: Position, limit: number): Promise<AllRead> {
    return this.options.eventLog.readAll({
      after,
      limit,
      filter: CONVERSATIONS,
    });
  }

  private async positionOf(client: Queryable, { name }: Projection): Promise<Position> {
    return (await readCheckpoints(client, [name])).get(name) ?? POSITION_START;
  }

  private async forgetCheckpoints(client: Queryable): Promise<void> {
    const names = this.buildings.map(({ side }) => side.name);
    await client.query('DELETE FROM read.checkpoints WHERE projection = ANY ($1)', [names]);
  }

  private async cleanUp(): Promise<void> {
    try {
      await this.options.database.transaction(async (client) => {
        await dropSideSchema(client);
        await this.forgetCheckpoints(client);
      });
    } catch (error) {
      // Postgres is away: the next rebuild begins by dropping what this one leaves.
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }
}

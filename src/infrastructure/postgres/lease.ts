import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { StoreUnavailable } from '../../application/ports/store-unavailable';
import type { Database, Queryable } from './database';

/** How long a holder that has gone silent keeps others waiting. */
export const LEASE_MS = 10_000;
/** A holder stopped in mid-transaction keeps the lease's row locked; the server ends its session after this. */
const IDLE_IN_TRANSACTION_MS = 5_000;
/** A line that swallows what is sent must not hold up who wants to leave; the lock goes with the session then. */
const UNLOCK_MS = 1_000;
/** First key of the advisory locks of leases; the second is made of the name. */
const LOCK_CLASS = 0x7061_726c;

/** Somebody else has the lease now: nothing more may be written under the old token. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/**
 * The right to write one group of read models. Two things carry it: a row with a token, checked in every writing
 * transaction, which makes it safe; and an advisory lock of the holder's session, which makes it quick: a process
 * that was killed loses its session at once, and the next one need not wait for the expiry. The row says whether its
 * holder has the lock: of one that has not, a free lock does not mean that it died.
 * Needs connections that are one's own while they last: no transaction pooling between us and the server.
 */
export class Lease {
  private readonly losing = new AbortController();
  private released = false;
  /** Aborted when the session that holds the lock breaks, or a renewal finds another holder. */
  readonly lost: AbortSignal = this.losing.signal;

  private constructor(
    private readonly database: Database,
    private readonly session: PoolClient,
    readonly name: string,
    private token: string,
  ) {
    session.on('error', (error) => {
      this.losing.abort(error);
    });
  }

  /** @returns undefined while somebody else holds it. @throws StoreUnavailable */
  static async acquire(database: Database, name: string, owner: string): Promise<Lease | undefined> {
    const session = await database.connect();
    const lease = new Lease(database, session, name, '');
    try {
      const locked = await lock(session, name);
      const { rows } = await session.query<{ token: string }>(
        `INSERT INTO read.leases AS l (name, owner, token, expires_at, locked)
         VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3), $4)
         ON CONFLICT (name) DO UPDATE
         SET owner = excluded.owner, token = l.token + 1, expires_at = excluded.expires_at, locked = excluded.locked
         WHERE ($4 AND l.locked) OR l.expires_at < clock_timestamp()
         RETURNING token`,
        [name, owner, LEASE_MS / 1_000, locked],
      );
      const token = rows[0]?.token;
      if (token === undefined) {
        session.release(true);
        return undefined;
      }
      lease.token = token;
      return lease;
    } catch (error) {
      session.release(true);
      throw error instanceof Error
        ? new StoreUnavailable(`lease: ${error.message}`, { cause: error })
        : error;
    }
  }

  /** Higher than that of whoever had it before; counts from 1 again when the table was dropped. */
  get term(): number {
    return Number(this.token);
  }

  /** Rejects when it cannot be told whether the lease is still ours; the fence decides. */
  async renew(): Promise<void> {
    // Whoever took over from a holder that hung could not have the lock then; perhaps now.
    const locked = await lock(this.session, this.name);
    const rows = await this.database.query(
      `UPDATE read.leases SET expires_at = clock_timestamp() + make_interval(secs => $3), locked = $4
       WHERE name = $1 AND token = $2 RETURNING 1`,
      [this.name, this.token, LEASE_MS / 1_000, locked],
    );
    if (rows.length === 0) this.losing.abort(this.taken());
  }

  /**
   * First statement of every writing transaction. Keeps the lease's row locked until its end, so that nobody can
   * take the lease between the check and the commit. Sets what projecting wants of the server:
   * - the tables' schema;
   * - no wait for the disk: rows and checkpoint are lost or kept together, and the log has them all;
   * - joins by key from the batch's few rows into the tables, whatever the statistics of a table that was empty a
   *   moment ago make the planner believe.
   * @throws LeaseLost
   */
  async fence(client: Queryable, schema: string): Promise<void> {
    const rows = await client.query(
      `SELECT set_config('search_path', $3, true),
              set_config('synchronous_commit', 'off', true),
              set_config('idle_in_transaction_session_timeout', $4, true),
              set_config('enable_seqscan', 'off', true),
              set_config('enable_hashjoin', 'off', true),
              set_config('enable_mergejoin', 'off', true),
              set_config('jit', 'off', true)
       FROM read.leases WHERE name = $1 AND token = $2 FOR SHARE`,
      [this.name, this.token, schema, String(IDLE_IN_TRANSACTION_MS)],
      'lease.fence',
    );
    if (rows.length === 0) throw this.taken();
  }

  /** The fence without what projecting wants beside it. @throws LeaseLost */
  async check(client: Queryable): Promise<void> {
    const rows = await client.query(
      'SELECT FROM read.leases WHERE name = $1 AND token = $2 FOR SHARE',
      [this.name, this.token],
      'lease.check',
    );
    if (rows.length === 0) throw this.taken();
  }

  /** Gives it back, so that a standby need not wait. Never rejects: what cannot be given back expires. Once is enough. */
  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    try {
      // First the lock, so that whoever takes the lease now has it from the beginning.
      const unlocking = this.session.query('SELECT pg_advisory_unlock_all()');
      await Promise.race([unlocking, sleep(UNLOCK_MS, undefined, { ref: false })]);
      await this.database.query(
        `UPDATE read.leases SET expires_at = '-infinity' WHERE name = $1 AND token = $2`,
        [this.name, this.token],
      );
    } catch {
      // Postgres is away; the lock goes with the session below, the row expires.
    } finally {
      // The lock belongs to the session: ending it is the one sure way to let go.
      this.session.release(true);
    }
  }

  private taken(): LeaseLost {
    return new LeaseLost(`the lease ${this.name} was taken by another`);
  }
}

/** Taking it again in the same session succeeds; all of it goes with the session. */
async function lock(session: PoolClient, name: string): Promise<boolean> {
  const { rows } = await session.query<{ locked: boolean }>(
    'SELECT pg_try_advisory_lock($1, hashtext($2)) AS locked',
    [LOCK_CLASS, name],
  );
  return rows[0]?.locked === true;
}

import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { CONFIG, type Config } from '../config/config';
import { Database } from '../infrastructure/postgres/database';
import { LeaseLost } from '../infrastructure/postgres/lease';
import { LeasedWork, type Fence } from '../infrastructure/postgres/leased-work';
import { Clock } from '../kernel/clock';

/** Name of the lease. */
const SWEEP_LEASE = 'expired-sign-ins';
/** From one sweep to the next, and up to a tenth longer. */
const SWEEP_EVERY_MS = 600_000;
/** Rows that one statement deletes: it never holds locks or the write-ahead log for long. */
export const SWEEP_ROWS_MAX = 1_000;
/** Statements of one kind in one sweep; what is left over waits for the next. */
export const SWEEP_BATCHES_MAX = 100;
/** How long an ended sign-in stays, for whoever asks why somebody was signed out. */
export const ENDED_KEPT_MS = 86_400_000;

/**
 * Deletes refresh tokens that have expired and sign-ins that are over: they ended a day ago, or none of their
 * tokens is left. Without it both would stay for ever, one row for each time anybody's device came back. One
 * worker of all sweeps at a time, under a lease.
 */
@Injectable()
export class ExpiredSignIns implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(ExpiredSignIns.name);
  private readonly leased: LeasedWork;
  private isStopping = false;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.leased = new LeasedWork({
      database,
      name: SWEEP_LEASE,
      owner: `${hostname()}/${process.pid}`,
      work: (fence, signal) => this.sweepUntil(signal, fence),
      warn: (message) => {
        this.logger.warn(message);
      },
    });
  }

  onApplicationBootstrap(): void {
    if (this.config.roles.has('worker')) this.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.stop();
  }

  /** Sweeps now and from then on, as soon as no other worker does. A second start changes nothing. */
  start(): void {
    this.leased.start();
  }

  /** Resolves when the statement under way has ended; nothing is deleted afterwards. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.leased.stop();
  }

  /** @throws StoreUnavailable; what was deleted until then stays deleted */
  async sweep(fence: Fence = open): Promise<void> {
    const now = this.clock.now();
    const endedBefore = new Date(now - ENDED_KEPT_MS);
    await this.inBatches(() => this.deleteExpiredTokens(new Date(now), fence));
    await this.inBatches(() => this.deleteTokensOfEnded(endedBefore, fence));
    await this.inBatches(() => this.deleteEnded(endedBefore, fence));
  }

  private async sweepUntil(signal: AbortSignal, fence: Fence): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.sweep(fence);
      } catch (error) {
        if (error instanceof LeaseLost) throw error;
        this.logger.warn({ err: error }, 'sweeping expired sign-ins failed, and will be tried again');
      }
      const waitMs = SWEEP_EVERY_MS * (1 + Math.random() / 10);
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** @param batch how many rows it has deleted; less than SWEEP_ROWS_MAX: there are no more */
  private async inBatches(batch: () => Promise<number>): Promise<void> {
    for (let count = 0; count < SWEEP_BATCHES_MAX; count++) {
      if (this.isStopping || (await batch()) < SWEEP_ROWS_MAX) return;
    }
  }

  /** With the sign-ins of which none is left: nobody can come back with them. */
  private deleteExpiredTokens(now: Date, fence: Fence): Promise<number> {
    return this.database.transaction(async (client) => {
      await fence(client);
      const deleted = await client.query<{ sign_in_id: string }>(
        `DELETE FROM app.refresh_tokens WHERE token_hash IN (
           SELECT token_hash FROM app.refresh_tokens WHERE expires_at < $1
           ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING sign_in_id`,
        [now, SWEEP_ROWS_MAX],
      );
      const signIns = [...new Set(deleted.map(({ sign_in_id }) => sign_in_id))];
      await client.query(
        `DELETE FROM app.sign_ins s WHERE s.id = ANY ($1::uuid[]) AND s.ended_at IS NULL
           AND NOT EXISTS (SELECT FROM app.refresh_tokens t WHERE t.sign_in_id = s.id)`,
        [signIns],
      );
      return deleted.length;
    });
  }

  /** Before their sign-ins, because a long-lived one may have thousands. */
  private deleteTokensOfEnded(endedBefore: Date, fence: Fence): Promise<number> {
    return this.deleteFenced(
      fence,
      `DELETE FROM app.refresh_tokens WHERE token_hash IN (
         SELECT t.token_hash FROM app.sign_ins s JOIN app.refresh_tokens t ON t.sign_in_id = s.id
         WHERE s.ended_at < $1 LIMIT $2 FOR UPDATE OF t SKIP LOCKED)
       RETURNING 1`,
      [endedBefore, SWEEP_ROWS_MAX],
    );
  }

  private deleteEnded(endedBefore: Date, fence: Fence): Promise<number> {
    return this.deleteFenced(
      fence,
      `DELETE FROM app.sign_ins WHERE id IN (
         SELECT s.id FROM app.sign_ins s WHERE s.ended_at < $1
           AND NOT EXISTS (SELECT FROM app.refresh_tokens t WHERE t.sign_in_id = s.id)
         LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING 1`,
      [endedBefore, SWEEP_ROWS_MAX],
    );
  }

  private deleteFenced(fence: Fence, text: string, values: readonly unknown[]): Promise<number> {
    return this.database.transaction(async (client) => {
      await fence(client);
      return (await client.query(text, values)).length;
    });
  }
}

/** For whoever sweeps once, by hand. */
const open: Fence = () => Promise.resolve();

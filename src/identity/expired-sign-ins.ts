import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { CONFIG, type Config } from '../config/config';
import { Database } from '../infrastructure/postgres/database';
import { Clock } from '../kernel/clock';

/** From one sweep to the next. Each waits up to a tenth longer, so that workers do not meet. */
export const SWEEP_EVERY_MS = 600_000;
/** Rows that one statement deletes: it never holds locks or the write-ahead log for long. */
export const SWEEP_ROWS_MAX = 1_000;
/** Statements of one kind in one sweep; what is left over waits for the next. */
export const SWEEP_BATCHES_MAX = 100;
/** How long an ended sign-in stays, for whoever asks why somebody was signed out. */
export const ENDED_KEPT_MS = 86_400_000;

/**
 * Deletes refresh tokens that have expired and sign-ins that are over: they ended a day ago, or none of their
 * tokens is left. Without it both would stay for ever, one row for each time anybody's device came back. Any number
 * of workers may sweep at once; rows that one has locked are skipped by the others.
 */
@Injectable()
export class ExpiredSignIns implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(ExpiredSignIns.name);
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> = Promise.resolve();
  private isRunning = false;
  private isStopping = false;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.roles.has('worker')) this.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.stop();
  }

  /** Sweeps now and from then on, once in its life. A second start changes nothing. */
  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.sweepAndWait();
  }

  /** Resolves when the statement under way has ended; nothing is deleted afterwards. */
  async stop(): Promise<void> {
    this.isStopping = true;
    clearTimeout(this.timer);
    await this.sweeping;
  }

  /** @throws StoreUnavailable; what was deleted until then stays deleted */
  async sweep(): Promise<void> {
    const now = this.clock.now();
    const endedBefore = new Date(now - ENDED_KEPT_MS);
    await this.inBatches(() => this.deleteExpiredTokens(new Date(now)));
    await this.inBatches(() => this.deleteTokensOfEnded(endedBefore));
    await this.inBatches(() => this.deleteEnded(endedBefore));
  }

  private sweepAndWait(): void {
    this.sweeping = this.sweep()
      .catch((error: unknown) => {
        this.logger.warn({ err: error }, 'sweeping expired sign-ins failed, and will be tried again');
      })
      .then(() => {
        if (this.isStopping) return;
        const waitMs = SWEEP_EVERY_MS * (1 + Math.random() / 10);
        this.timer = setTimeout(() => {
          this.sweepAndWait();
        }, waitMs).unref();
      });
  }

  /** @param batch how many rows it has deleted; less than SWEEP_ROWS_MAX: there are no more */
  private async inBatches(batch: () => Promise<number>): Promise<void> {
    for (let count = 0; count < SWEEP_BATCHES_MAX; count++) {
      if (this.isStopping || (await batch()) < SWEEP_ROWS_MAX) return;
    }
  }

  /** With the sign-ins of which none is left: nobody can come back with them. */
  private deleteExpiredTokens(now: Date): Promise<number> {
    return this.database.transaction(async (client) => {
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
  private async deleteTokensOfEnded(endedBefore: Date): Promise<number> {
    const deleted = await this.database.query(
      `DELETE FROM app.refresh_tokens WHERE token_hash IN (
         SELECT t.token_hash FROM app.sign_ins s JOIN app.refresh_tokens t ON t.sign_in_id = s.id
         WHERE s.ended_at < $1 LIMIT $2 FOR UPDATE OF t SKIP LOCKED)
       RETURNING 1`,
      [endedBefore, SWEEP_ROWS_MAX],
    );
    return deleted.length;
  }

  private async deleteEnded(endedBefore: Date): Promise<number> {
    const deleted = await this.database.query(
      `DELETE FROM app.sign_ins WHERE id IN (
         SELECT s.id FROM app.sign_ins s WHERE s.ended_at < $1
           AND NOT EXISTS (SELECT FROM app.refresh_tokens t WHERE t.sign_in_id = s.id)
         LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING 1`,
      [endedBefore, SWEEP_ROWS_MAX],
    );
    return deleted.length;
  }
}

import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { NodeNotices } from '../application/ports/node-notices';
import { SocketControl } from '../application/ports/socket-control';
import { CONFIG, type Config } from '../config/config';
import { Database } from '../infrastructure/postgres/database';
import { Clock } from '../kernel/clock';
import { asUserId } from '../kernel/ids';
import { JwtAccessTokens } from './jwt-access-tokens';

/** How long a node may go on taking the tokens of a sign-in that ended on another, however that one tells it. */
export const ENDED_POLL_MS = 2_000;
/** Ends are looked for so far back each time: nodes' clocks differ, and transactions commit late. */
export const ENDED_OVERLAP_MS = 60_000;
/** Rows of one look. */
export const ENDED_ROWS_MAX = 1_000;

interface EndedRow {
  readonly id: string;
  readonly user_id: string;
  readonly ended_at: Date;
}

/**
 * Learns of sign-ins that ended on other nodes: at once from their notices, and within ENDED_POLL_MS from Postgres
 * when those get lost. Also at the start, so that a node that was away refuses what ended meanwhile. While Postgres
 * is away nobody can sign out anywhere else either.
 */
@Injectable()
export class EndedSignIns implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(EndedSignIns.name);
  private readonly endNotices: () => void;
  private readonly known = new Map<string, number>();
  private since: number;
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly database: Database,
    private readonly tokens: JwtAccessTokens,
    private readonly sockets: SocketControl,
    private readonly clock: Clock,
    notices: NodeNotices,
    @Inject(CONFIG) config: Config,
  ) {
    // A token made just before the end is good until then.
    this.since = clock.now() - config.accessTokenTtlMs;
    this.endNotices = notices.subscribe(({ signInId }) => {
      if (signInId !== undefined) tokens.revoke(signInId);
    });
  }

  onApplicationBootstrap(): void {
    this.lookAndWait();
  }

  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    this.endNotices();
    clearTimeout(this.timer);
    await this.looking;
  }

  /** Takes in what has ended since the last look. @throws StoreUnavailable */
  async look(): Promise<void> {
    const from = this.since - ENDED_OVERLAP_MS;
    let after = { endedAt: new Date(from), id: '00000000-0000-0000-0000-000000000000' };
    for (let count = ENDED_ROWS_MAX; count === ENDED_ROWS_MAX && !this.stopped;) {
      const rows = await this.database.query<EndedRow>(
        `SELECT id, user_id, ended_at FROM app.sign_ins
         WHERE ended_at IS NOT NULL AND (ended_at, id) > ($1, $2::uuid)
         ORDER BY ended_at, id LIMIT $3`,
        [after.endedAt, after.id, ENDED_ROWS_MAX],
        'endedSignIns.look',
      );
      for (const row of rows) this.take(row);
      count = rows.length;
      const last = rows.at(-1);
      if (last !== undefined) after = { endedAt: last.ended_at, id: last.id };
    }
    // What ended before the next look's beginning is not seen again: no need to know it any more.
    for (const [id, endedAt] of this.known)
      if (endedAt < this.since - ENDED_OVERLAP_MS) this.known.delete(id);
  }

  private take({ id, user_id, ended_at }: EndedRow): void {
    const endedAt = ended_at.getTime();
    this.since = Math.max(this.since, Math.min(endedAt, this.clock.now()));
    if (this.known.has(id)) return;
    this.known.set(id, endedAt);
    this.tokens.revoke(id);
    this.sockets.signOutHere(asUserId(user_id), { signInId: id });
  }

  private lookAndWait(): void {
    this.looking = this.look()
      .catch((error: unknown) => {
        this.logger.debug(`ended sign-ins cannot be read, and will be again: ${String(error)}`);
      })
      .then(() => {
        if (this.stopped) return;
        this.timer = setTimeout(() => {
          this.lookAndWait();
        }, ENDED_POLL_MS).unref();
      });
  }
}

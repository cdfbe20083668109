import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Executor } from '../application/executor';
import { TargetMessages } from '../application/target-messages';
import { CONFIG, type Config } from '../config/config';
import { THE_SERVER } from '../domain/conversation/alter';
import { Database } from '../infrastructure/postgres/database';
import { LeasedWork } from '../infrastructure/postgres/leased-work';
import { Clock } from '../kernel/clock';
import { asConversationId, asSeq, type ConversationId, type Seq } from '../kernel/ids';

/** Name of the lease. */
const SWEEP_LEASE = 'expired-messages';
/** From one look to the next: how long a message stays in counts and on devices after its time, at most. */
export const SWEEP_EVERY_MS = 1_000;
/** Messages that one look takes; more are left for the next, which follows sooner. */
export const SWEEP_MESSAGES_MAX = 500;
/** Between two looks while there is more than one takes: until the read models have the deletions of the first. */
const SWEEP_AGAIN_MS = 100;

interface Due {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
}

/**
 * Deletes messages whose `expiresAt` has passed: by an event on their stream, as any deletion is, so that devices,
 * counts and read models follow by the ways they have. Which ones are due the read model `history` tells, so it may be
 * late, and told of one twice it changes nothing. One worker of all sweeps at a time, under a lease.
 */
@Injectable()
export class ExpiredMessages implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(ExpiredMessages.name);
  private readonly leased: LeasedWork;

  constructor(
    private readonly database: Database,
    private readonly executor: Executor,
    private readonly messages: TargetMessages,
    private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.leased = new LeasedWork({
      database,
      name: SWEEP_LEASE,
      owner: `${hostname()}/${process.pid}`,
      work: (_fence, signal) => this.sweepUntil(signal),
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

  /** Resolves when the sweep under way has ended. */
  async stop(): Promise<void> {
    await this.leased.stop();
  }

  /**
   * Deletes what is due now, SWEEP_MESSAGES_MAX at most. @returns how many were due
   * @throws StoreUnavailable, EventLogUnavailable; what was deleted until then stays deleted
   */
  async sweep(): Promise<number> {
    const due = await this.due();
    await Promise.all(due.map((message) => this.expire(message)));
    return due.length;
  }

  private async sweepUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let count = 0;
      try {
        count = await this.sweep();
      } catch (error) {
        this.logger.warn({ err: error }, 'deleting expired messages failed, and will be tried again');
      }
      const waitMs = count < SWEEP_MESSAGES_MAX ? SWEEP_EVERY_MS : SWEEP_AGAIN_MS;
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** The longest overdue first. */
  private async due(): Promise<readonly Due[]> {
    const rows = await this.database.query<{ conversation_id: string; seq: string }>(
      `SELECT conversation_id, seq FROM read.history_messages
       WHERE (extra ->> 'expiresAt') COLLATE "C" <= $1 AND extra ? 'expiresAt' AND content IS NOT NULL
       ORDER BY (extra ->> 'expiresAt') COLLATE "C" LIMIT ${SWEEP_MESSAGES_MAX}`,
      [new Date(this.clock.now()).toISOString()],
      'expiredMessages.due',
    );
    return rows.map(({ conversation_id, seq }) => ({
      conversationId: asConversationId(conversation_id),
      seq: asSeq(Number(seq)),
    }));
  }

  private async expire({ conversationId, seq }: Due): Promise<void> {
    const message = await this.messages.find(conversationId, seq);
    const outcome = await this.executor.execute({
      type: 'ExpireMessage',
      conversationId,
      by: THE_SERVER,
      at: this.clock.now(),
      target: seq,
      message,
    });
    // Too much going on, or a log that is away: the next sweep comes soon. Anything else has no business here.
    if (outcome.kind === 'refused') {
      this.logger.warn(`message ${seq} of ${conversationId} was not deleted: ${outcome.refusal.detail}`);
    }
  }
}

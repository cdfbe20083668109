import type { PoolClient } from 'pg';
import { ProjectionProgress } from '../../application/ports/projection-progress';
import type { ConversationId, Seq } from '../../kernel/ids';
import {
  furthest,
  hasPassed,
  nearest,
  parsePosition,
  POSITION_START,
  type Position,
} from '../../kernel/position';
import type { Database } from './database';
import { PROGRESS_CHANNEL, parseProgress } from './progress-channel';

/** Waits at the same time; one more is told at once that its wait was in vain. */
export const WAITERS_MAX = 20_000;
/** While anybody waits: a notification that got lost costs no more than this. */
const POLL_MS = 100;
const LISTEN_RETRY_MIN_MS = 100;
const LISTEN_RETRY_MAX_MS = 5_000;

interface Waiter {
  readonly settle: (passed: boolean) => void;
}
interface PositionWaiter extends Waiter {
  readonly goal: Position;
}
interface SeqWaiter extends Waiter {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
}

export interface ProjectionProgressOptions {
  /** Name of the live group's lease. */
  readonly group: string;
  /** Names of its projections; the slowest one counts. */
  readonly projections: readonly string[];
}

/**
 * Knows how far the live read models are from the projector's notifications, whichever node it runs on, and from
 * the table when those fail. The last known checkpoint is kept, so that most waits end before they begin.
 */
export class PostgresProjectionProgress extends ProjectionProgress {
  private known: Position = POSITION_START;
  private readonly positions = new Set<PositionWaiter>();
  private readonly seqs = new Set<SeqWaiter>();
  private polling: NodeJS.Timeout | undefined;
  private listener: PoolClient | undefined;
  private retry: NodeJS.Timeout | undefined;
  private retryMs = LISTEN_RETRY_MIN_MS;
  private checkingSeqs = false;
  private seqsDirty = false;
  private stopped = false;

  constructor(
    private readonly database: Database,
    private readonly options: ProjectionProgressOptions,
  ) {
    super();
  }

  /** Begins to listen. Does not wait for Postgres, which may come later. */
  start(): void {
    void this.listen();
  }

  /** All who still wait are told that it was in vain. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.retry);
    clearTimeout(this.polling);
    this.listener?.release(true);
    this.listener = undefined;
    for (const waiter of [...this.positions, ...this.seqs]) waiter.settle(false);
  }

  /** Where the table says the slowest projection is, or was when Postgres last answered. */
  async current(): Promise<Position> {
    await this.readCheckpoint('either').catch(() => undefined);
    return this.known;
  }

  /** As the table says now. @throws StoreUnavailable */
  async reached(): Promise<Position> {
    await this.readCheckpoint('either');
    return this.known;
  }

  /** The last known place, without asking anybody. */
  get position(): Position {
    return this.known;
  }

  /** From the projector of this process, after its commit: sooner than the way through Postgres. */
  notifyLocal(position: Position): void {
    this.moveTo(position);
  }

  override waitForPosition(position: Position, timeoutMs: number): Promise<boolean> {
    if (hasPassed(this.known, position)) return Promise.resolve(true);
    return this.wait(this.positions, { goal: position }, timeoutMs);
  }

  override disbelieve(found: Position): void {
    this.known = nearest(found, this.known);
  }

  override async waitForSeq(conversationId: ConversationId, seq: Seq, timeoutMs: number): Promise<boolean> {
    const waiting = this.wait(this.seqs, { conversationId, seq }, timeoutMs);
    this.checkSeqs();
    return waiting;
  }

  private wait<W extends Waiter>(
    waiters: Set<W>,
    goal: Omit<W, 'settle'>,
    timeoutMs: number,
  ): Promise<boolean> {
    if (this.stopped || this.positions.size + this.seqs.size >= WAITERS_MAX) return Promise.resolve(false);
    return new Promise((resolve) => {
      const settle = (passed: boolean): void => {
        clearTimeout(timer);
        waiters.delete(waiter);
        resolve(passed);
      };
      const timer = setTimeout(settle, timeoutMs, false);
      const waiter = { ...goal, settle } as W;
      waiters.add(waiter);
      this.pollLater();
    });
  }

  private moveTo(position: Position): void {
    if (hasPassed(this.known, position)) return;
    this.known = furthest(position, this.known);
    for (const waiter of this.positions) if (hasPassed(this.known, waiter.goal)) waiter.settle(true);
    this.checkSeqs();
  }

  /** One query for all who wait for a seq, one at a time; what happens meanwhile makes one more. */
  private checkSeqs(): void {
    this.seqsDirty = true;
    if (this.checkingSeqs) return;
    this.checkingSeqs = true;
    void this.checkSeqsWhileDirty();
  }

  private async checkSeqsWhileDirty(): Promise<void> {
    // One turn later: waits that begin together are asked about together.
    await Promise.resolve();
    while (this.seqsDirty && this.seqs.size > 0) {
      this.seqsDirty = false;
      await this.querySeqs().catch(() => undefined);
    }
    this.checkingSeqs = false;
  }

  private async querySeqs(): Promise<void> {
    const ids = [...new Set([...this.seqs].map(({ conversationId }) => conversationId))];
    const rows = await this.database.query<{ conversation_id: string; head_seq: string }>(
      'SELECT conversation_id, head_seq FROM read.inbox_conversations WHERE conversation_id = ANY($1::uuid[])',
      [ids],
      'projectionProgress.heads',
    );
    const heads = new Map(rows.map((row) => [row.conversation_id, Number(row.head_seq)]));
    for (const waiter of this.seqs) {
      if ((heads.get(waiter.conversationId) ?? -1) >= waiter.seq) waiter.settle(true);
    }
  }

  private pollLater(): void {
    if (this.polling !== undefined || this.stopped) return;
    this.polling = setTimeout(() => {
      this.polling = undefined;
      if (this.positions.size + this.seqs.size > 0) void this.poll();
    }, POLL_MS);
  }

  private async poll(): Promise<void> {
    await this.readCheckpoint('forward').catch(() => undefined);
    this.checkSeqs();
    if (this.positions.size + this.seqs.size > 0) this.pollLater();
  }

  private async readCheckpoint(direction: 'forward' | 'either'): Promise<void> {
    const { projections } = this.options;
    const rows = await this.database.query<{ position: string }>(
      'SELECT position FROM read.checkpoints WHERE projection = ANY($1)',
      [projections],
      'projectionProgress.checkpoints',
    );
    if (rows.length < projections.length) {
      // Dropped, and begun anew: what was known is no longer so.
      if (direction === 'either') this.known = POSITION_START;
      return;
    }
    const slowest = rows.map((row) => parsePosition(row.position)).reduce(nearest);
    if (direction === 'either') this.known = nearest(slowest, this.known);
    this.moveTo(slowest);
  }

  private async listen(): Promise<void> {
    try {
      const client = await this.database.connect();
      if (this.stopped) {
        client.release(true);
        return;
      }
      this.listener = client;
      client.on('notification', ({ payload }) => {
        const progress = parseProgress(payload ?? '');
        if (progress?.group === this.options.group) this.moveTo(progress.position);
      });
      client.on('error', () => {
        if (this.listener === client) this.listenAgain();
      });
      await client.query(`LISTEN ${PROGRESS_CHANNEL}`);
      // A server that crashed may have lost the last transactions, and read models may have been dropped while
      // nobody listened: what was known no longer counts.
      await this.readCheckpoint('either');
      this.retryMs = LISTEN_RETRY_MIN_MS;
    } catch {
      this.listenAgain();
    }
  }

  private listenAgain(): void {
    this.listener?.release(true);
    this.listener = undefined;
    if (this.stopped) return;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.listen(), this.retryMs * (0.5 + Math.random() / 2));
    this.retryMs = Math.min(LISTEN_RETRY_MAX_MS, this.retryMs * 2);
  }
}

import { Injectable, Logger } from '@nestjs/common';
import type { ConversationId, Seq } from '../kernel/ids';
import { furthest, hasPassed, type Position } from '../kernel/position';
import { backoffMs, pause, stopSignal, type Backoff } from './backoff';
import type { Connection } from './connection';
import { Hub } from './hub';
import { mapInOrder } from './limiter';
import { SyncInbox } from './sync-inbox';
import { unseenOf } from './sync-plan';

/** Connections that are owed something at once; beyond it a device finds out at its next `sync`. */
export const SYNC_DEBTS_MAX = 20_000;
/** One wait for the read models; then the connection is checked to be there still. */
const WAIT_MS = 30_000;
/** Devices whose inboxes are asked for side by side. */
const ROUND_QUERIES_MAX = 4;
/** One question for all devices of the node, however many wait. */
const ASK_AGAIN: Backoff = { baseMs: 2_000, maxMs: 5_000 };

interface Debt {
  readonly connection: Connection;
  /** The read models must have passed this to be able to pay. */
  readonly position: Position;
  readonly cursors: ReadonlyMap<ConversationId, Seq>;
  readonly recent: number;
  /** Conversations without a cursor that the answer held. */
  readonly answered: ReadonlySet<ConversationId>;
  /** Conversations whose summaries the answer should have held, and could not. */
  readonly unsummarised: ReadonlySet<ConversationId>;
}

const NONE: ReadonlySet<ConversationId> = new Set();

/**
 * While the read models are away, `sync` cannot know of conversations that the device has no cursor for, and has no
 * summaries of the others. Both are made up for as soon as the read models are back: the device is told which ones to
 * `resync`, and its next `sync` has their summaries, although nothing may have moved.
 */
@Injectable()
export class SyncDebts {
  private readonly logger = new Logger(SyncDebts.name);
  private readonly debts = new Map<Connection, Debt>();
  /** At most the cursors of one `sync` for each connection, which keep as long as it does. */
  private readonly summaries = new WeakMap<Connection, ReadonlySet<ConversationId>>();
  private readonly stopping = stopSignal();
  private isPaying = false;

  constructor(
    private readonly hub: Hub,
    private readonly inbox: SyncInbox,
  ) {}

  get size(): number {
    return this.debts.size;
  }

  /** Summaries that an earlier `sync` of the connection should have had. */
  summariesOwed(connection: Connection): ReadonlySet<ConversationId> {
    return this.summaries.get(connection) ?? NONE;
  }

  /** A later `sync` of the connection has answered all that an earlier one could not. */
  paid(connection: Connection): void {
    this.debts.delete(connection);
    this.summaries.delete(connection);
  }

  /** A later `sync` of the same connection takes the earlier one's place. */
  owe(debt: Debt): void {
    if (this.stopping.signal.aborted) return;
    this.summaries.set(debt.connection, debt.unsummarised);
    if (!this.debts.has(debt.connection) && this.debts.size >= SYNC_DEBTS_MAX) return;
    this.debts.set(debt.connection, debt);
    if (this.isPaying) return;
    this.isPaying = true;
    void this.payAll();
  }

  /** Forgets everything: the devices go elsewhere and sync there. */
  stop(): void {
    this.stopping.abort();
    this.debts.clear();
  }

  /** One round after the other for all, so that waiting costs the same however many wait. */
  private async payAll(): Promise<void> {
    const { signal } = this.stopping;
    for (let attempt = 0; this.debts.size > 0; attempt++) {
      await pause(backoffMs(attempt, ASK_AGAIN), signal);
      for (const connection of this.debts.keys()) {
        if (!this.hub.has(connection)) this.debts.delete(connection);
      }
      try {
        if (await this.payRound([...this.debts.values()])) attempt = 0;
      } catch (error) {
        this.logger.error({ err: error }, 'devices could not be told what to sync again');
      }
    }
    this.isPaying = false;
  }

  private async payRound(round: readonly Debt[]): Promise<boolean> {
    if (round.length === 0) return false;
    const goal = round.map(({ position }) => position).reduce(furthest);
    if (!(await this.inbox.hasPassed(goal, WAIT_MS))) return false;
    for await (const paid of mapInOrder(round, ROUND_QUERIES_MAX, (debt) => this.pay(debt))) {
      if (!paid) return false;
    }
    return true;
  }

  /** @returns false when the store is down again */
  private async pay(debt: Debt): Promise<boolean> {
    const { connection } = debt;
    const heads = await this.inbox.heads(connection.userId);
    if (heads === undefined || !hasPassed(heads.asOf, debt.position)) return false;
    if (this.debts.get(connection) !== debt) return true;
    this.debts.delete(connection);
    const unseen = unseenOf(heads.items, debt.cursors, debt.recent);
    const unanswered = unseen.filter((id) => !debt.answered.has(id));
    const conversationIds = [...new Set([...unanswered, ...debt.unsummarised])];
    // Not waited for: a slow device must not keep the others waiting, and it is owed no second frame.
    if (conversationIds.length > 0) void connection.answer({ event: 'resync', data: { conversationIds } });
    return true;
  }
}

import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Executor } from '../application/executor';
import { EventLogUnavailable } from '../application/ports/event-log';
import { StoreUnavailable } from '../application/ports/store-unavailable';
import type { ConversationState } from '../domain/conversation/state';
import type { ConversationId, Seq, UserId } from '../kernel/ids';
import type { ServerFrame } from '../protocol/frames';
import { Hub } from './hub';
import { Paced } from './paced';
import { ReceiptCounts } from './receipt-counts';

/** One summary per author, conversation and this time, at most. */
export const SUMMARY_INTERVAL_MS = 1_000;
/** Conversations that are summed up at once; authors in more are told the next time. */
export const SUMMARY_CONVERSATIONS_MAX = 10_000;

interface Receipts {
  /** Of the newest of their events. */
  readonly seq: Seq;
  /** How far the furthest of the cursors reaches. */
  readonly reach: number;
}

/**
 * `receipt.summary` (PROTOCOL.md section 2): in large groups nobody is told of each cursor, but the authors on this
 * node of how many have received and read the newest of their messages that the receipts reach. Only authors within
 * the dedupe window, so that no message of a year ago is looked for. A hint: who misses one asks `GET …/receipts`.
 */
@Injectable()
export class ReceiptSummaries implements OnApplicationShutdown {
  private readonly logger = new Logger(ReceiptSummaries.name);
  private readonly paced = new Paced<ConversationId>(SUMMARY_INTERVAL_MS, SUMMARY_CONVERSATIONS_MAX);
  /** The receipts that have not been summed up, together. */
  private readonly waiting = new Map<ConversationId, Receipts>();

  constructor(
    private readonly executor: Executor,
    private readonly hub: Hub,
  ) {}

  /** @param reaching how far the receipts of the event at `seq` reach */
  note(conversationId: ConversationId, seq: Seq, reaching: number): void {
    const reach = Math.max(this.waiting.get(conversationId)?.reach ?? -1, reaching);
    this.waiting.set(conversationId, { seq, reach });
    this.paced.run(conversationId, () => {
      const receipts = this.waiting.get(conversationId);
      this.waiting.delete(conversationId);
      if (receipts !== undefined) void this.tell(conversationId, receipts);
    });
    // Dropped for want of room: nothing may stay behind for a conversation that is never summed up.
    if (this.waiting.size > SUMMARY_CONVERSATIONS_MAX) this.waiting.delete(conversationId);
  }

  onApplicationShutdown(): void {
    this.paced.stop();
    this.waiting.clear();
  }

  private async tell(conversationId: ConversationId, { seq: newest, reach }: Receipts): Promise<void> {
    try {
      const state = await this.executor.state(conversationId, newest);
      if (state === undefined) return;
      const authors = this.authorsHere(state, reach);
      if (authors.size === 0) return;
      const counts = new ReceiptCounts(state);
      for (const [userId, seq] of authors) {
        const frame: ServerFrame = {
          event: 'receipt.summary',
          data: { conversationId, seq, ...counts.of(seq) },
        };
        const bytes = Buffer.from(JSON.stringify(frame));
        for (const connection of this.hub.connectionsOf(userId)) connection.hint(bytes);
      }
    } catch (error) {
      if (error instanceof EventLogUnavailable || error instanceof StoreUnavailable) return;
      this.logger.error(`receipts of ${conversationId} could not be summed up: ${String(error)}`);
    }
  }

  /** Members with sockets here, each with the newest of their recent messages that the receipts reach. */
  private authorsHere(state: ConversationState, reach: number): ReadonlyMap<UserId, Seq> {
    const authors = new Map<UserId, Seq>();
    for (const message of [...state.recent].reverse()) {
      if (message.seq > reach || authors.has(message.by)) continue;
      if (!state.members.has(message.by) || !this.hub.isConnected(message.by)) continue;
      authors.set(message.by, message.seq);
    }
    return authors;
  }
}

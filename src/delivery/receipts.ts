import { Injectable, Logger } from '@nestjs/common';
import { Executor } from '../application/executor';
import { EventLogUnavailable } from '../application/ports/event-log';
import { StoreUnavailable } from '../application/ports/store-unavailable';
import type { Outcome } from '../application/outcome';
import { deliveredUpTo } from '../domain/conversation/receipts';
import { RECEIPTS_BROADCAST_MEMBERS_MAX, type ConversationState } from '../domain/conversation/state';
import { assertNever } from '../kernel/assert-never';
import { Clock } from '../kernel/clock';
import {
  asConversationId,
  asSeq,
  type ConversationId,
  type DeviceId,
  type Seq,
  type UserId,
} from '../kernel/ids';
import { problem, type Problem } from '../protocol/errors';
import { Metrics } from '../observability/metrics';
import { backoffMs, pause, stopSignal, type Backoff } from './backoff';
import { mapInOrder } from './limiter';
import { GatheredCursors } from './gathered-cursors';

/** Conversations with receipts that wait or are being written; beyond it receipts are refused as `unavailable`. */
export const PENDING_CONVERSATIONS_MAX = 20_000;
/**
 * A window ends early when it holds this many cursors of a kind, so that one event stays far below what an append may
 * hold: 400 KB in full, 35 KB packed.
 */
export const CURSORS_PER_EVENT_MAX = 4_096;
/** How often one event's cursors are tried to be written before they are dropped. */
export const RECEIPT_ATTEMPTS_MAX = 6;
/** Gathering time in conversations whose receipts go to everyone, and in larger ones. */
export const SMALL_WINDOW_MS = 100;
export const LARGE_WINDOW_MS = 1_000;
/**
 * In larger groups what was delivered waits at the window's end until none has come for this long, so that the
 * devices of a thousand members become one event. What was read does not wait: it clears the reader's other devices.
 */
export const DELIVERED_QUIET_MS = 500;
/** But no longer than this, all in all. */
export const DELIVERED_PATIENCE_MS = 5_000;
/** Conversations of one `delivered` frame that are looked at side by side. */
const CHECKS_MAX = 8;
const RETRY_AFTER_MS = 1_000;
const RETRY: Backoff = { baseMs: 100, maxMs: 5_000 };

/** A conversation, and up to where somebody has its events. */
type Wanted = readonly [ConversationId, Seq];

interface Pending {
  readonly gathered: GatheredCursors;
  readonly isLarge: boolean;
  timer: NodeJS.Timeout | undefined;
  /** The write under way; the next one waits for it, so that the log never holds two windows at once. */
  writing: Promise<void> | undefined;
}

/**
 * Gathers receipts for a short window and writes what has come together as one event per conversation and kind
 * (docs/adr/0002): a message to a thousand devices must not become a thousand events. What `ok` answers to is
 * accepted, not stored: receipts lost with the node are sent again by the devices, because cursors only rise.
 */
@Injectable()
export class ReceiptAggregator {
  private readonly logger = new Logger(ReceiptAggregator.name);
  private readonly pending = new Map<ConversationId, Pending>();
  private readonly stopping = stopSignal();

  constructor(
    private readonly executor: Executor,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
  ) {}

  /** Conversations with receipts that wait or are being written. */
  get size(): number {
    return this.pending.size;
  }

  /**
   * "This device has everything up to and including." All cursors are accepted, or none.
   *
   * @returns `not_found` (not a member, or no such conversation), `invalid_input` (beyond the head; the field is
   * `cursors.<conversationId>`), `unavailable`
   */
  async delivered(
    userId: UserId,
    deviceId: DeviceId,
    cursors: Readonly<Record<string, number>>,
  ): Promise<Problem | undefined> {
    const wanted = Object.entries(cursors).map(([id, seq]) => [asConversationId(id), asSeq(seq)] as const);
    return this.accept(userId, wanted, (id) => `cursors.${id}`, {
      isKnown: (state, upTo) => covers(state, deliveredUpTo(state, userId, deviceId), upTo),
      gather: ({ gathered }, upTo) => {
        gathered.delivered({ userId, deviceId, upTo }, performance.now());
      },
    });
  }

  /**
   * "This user has read everything up to and including."
   *
   * @returns `not_found`, `invalid_input` (field `upTo`), `unavailable`
   */
  async read(userId: UserId, conversationId: ConversationId, upTo: Seq): Promise<Problem | undefined> {
    return this.accept(userId, [[conversationId, upTo]], () => 'upTo', {
      isKnown: (state, seq) => covers(state, state.members.get(userId)?.readUpTo, seq),
      gather: ({ gathered }, seq) => {
        gathered.read({ userId, upTo: seq });
      },
    });
  }

  /** Writes everything that waits, without waiting for windows to end. Resolves when it is written or given up. */
  async flush(): Promise<void> {
    for (;;) {
      const writes = [...this.pending].map(([id, pending]) => this.write(id, pending, 'all'));
      if (writes.length === 0) return;
      await Promise.all(writes);
    }
  }

  /** Ends waiting between attempts: what cannot be written at once is given up. Call {@link flush} first. */
  stop(): void {
    this.stopping.abort();
  }

  private async accept(
    userId: UserId,
    cursors: readonly Wanted[],
    fieldOf: (id: ConversationId) => string,
    kind: {
      isKnown(state: ConversationState, upTo: Seq): boolean;
      gather(pending: Pending, upTo: Seq): void;
    },
  ): Promise<Problem | undefined> {
    const accepted: (readonly [ConversationState, Seq])[] = [];
    const refuse = (state: ConversationState | undefined, [id, upTo]: Wanted): Problem | undefined => {
      if (state?.members.has(userId) !== true) return NOT_FOUND;
      if (upTo > state.head) return beyondHead(fieldOf(id));
      if (!kind.isKnown(state, upTo)) accepted.push([state, upTo]);
      return undefined;
    };
    const known = this.knownStates(cursors);
    const refused =
      known === undefined
        ? await this.refuseAnyRead(cursors, refuse)
        : firstOf(cursors, (wanted, n) => refuse(known[n], wanted));
    if (refused !== undefined) return refused;
    if (!this.hasRoomFor(accepted)) return UNAVAILABLE;
    for (const [state, upTo] of accepted) {
      const pending = this.pendingOf(state);
      kind.gather(pending, upTo);
      if (pending.gathered.holds(CURSORS_PER_EVENT_MAX)) {
        void this.write(state.conversationId, pending, 'all');
      }
    }
    return undefined;
  }

  /** Nearly always all of them are in memory: then nothing is waited for. */
  private knownStates(cursors: readonly Wanted[]): readonly ConversationState[] | undefined {
    const states: ConversationState[] = [];
    for (const [id, upTo] of cursors) {
      const state = this.executor.knownState(id, upTo);
      if (state === undefined) return undefined;
      states.push(state);
    }
    return states;
  }

  /** Reads hardly further than the first that is refused: ten thousand ids of strangers cost CHECKS_MAX reads. */
  private async refuseAnyRead(
    cursors: readonly Wanted[],
    refuse: (state: ConversationState | undefined, wanted: Wanted) => Problem | undefined,
  ): Promise<Problem | undefined> {
    try {
      let next = 0;
      const states = mapInOrder(cursors, CHECKS_MAX, ([id, upTo]) => this.executor.state(id, upTo));
      for await (const state of states) {
        const refused = refuse(state, cursors[next++] as Wanted);
        if (refused !== undefined) return refused;
      }
      return undefined;
    } catch (error) {
      if (error instanceof EventLogUnavailable || error instanceof StoreUnavailable) return UNAVAILABLE;
      throw error;
    }
  }

  private hasRoomFor(accepted: readonly (readonly [ConversationState, Seq])[]): boolean {
    let added = 0;
    for (const [{ conversationId }] of accepted) {
      const pending = this.pending.get(conversationId);
      if (pending === undefined) added++;
      // Only when the log is slower than the devices: a window that is full is being written already.
      else if (pending.gathered.holds(CURSORS_PER_EVENT_MAX)) return false;
    }
    return this.pending.size + added <= PENDING_CONVERSATIONS_MAX;
  }

  private pendingOf(state: ConversationState): Pending {
    const id = state.conversationId;
    const known = this.pending.get(id);
    if (known !== undefined) return known;
    const isLarge = state.members.size > RECEIPTS_BROADCAST_MEMBERS_MAX;
    const gathered = new GatheredCursors();
    const pending: Pending = { gathered, isLarge, timer: undefined, writing: undefined };
    this.pending.set(id, pending);
    this.openWindow(id, pending);
    return pending;
  }

  private openWindow(id: ConversationId, pending: Pending): void {
    const windowMs = pending.isLarge ? LARGE_WINDOW_MS : SMALL_WINDOW_MS;
    pending.timer = setTimeout(() => {
      this.endWindow(id, pending);
    }, windowMs);
  }

  private endWindow(id: ConversationId, pending: Pending): void {
    const { gathered, isLarge } = pending;
    const waits =
      isLarge && gathered.isStillComing(performance.now(), DELIVERED_QUIET_MS, DELIVERED_PATIENCE_MS);
    void this.write(id, pending, waits ? 'read' : 'all');
  }

  /** Ends the window. What comes during the write is gathered for the next one. */
  private write(id: ConversationId, pending: Pending, which: 'all' | 'read'): Promise<void> {
    clearTimeout(pending.timer);
    pending.writing ??= this.writeGathered(id, pending, which).finally(() => {
      pending.writing = undefined;
      if (pending.gathered.isEmpty) this.pending.delete(id);
      else this.openWindow(id, pending);
    });
    return pending.writing;
  }

  private async writeGathered(
    conversationId: ConversationId,
    { gathered }: Pending,
    which: 'all' | 'read',
  ): Promise<void> {
    const { delivered, read } = gathered.take(which);
    const at = this.clock.now();
    const tasks: Promise<void>[] = [];
    const [firstDelivered] = delivered;
    if (firstDelivered !== undefined) {
      const command = { type: 'RecordDelivered', conversationId, by: firstDelivered.userId, at } as const;
      tasks.push(this.execute({ ...command, cursors: delivered }, 'delivered'));
    }
    const [firstRead] = read;
    if (firstRead !== undefined) {
      const command = { type: 'RecordRead', conversationId, by: firstRead.userId, at } as const;
      tasks.push(this.execute({ ...command, cursors: read }, 'read'));
    }
    await Promise.all(tasks);
  }

  /**
   * `by` is the first whose cursor is in it, because every event is by a member, and the server is none; the
   * decider names another one when that user's cursor turns out to say nothing new.
   */
  private async execute(
    command: Parameters<Executor['execute']>[0] & { readonly cursors: readonly unknown[] },
    kind: 'delivered' | 'read',
  ): Promise<void> {
    for (let attempt = 0; attempt < RECEIPT_ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await pause(backoffMs(attempt, RETRY), this.stopping.signal);
      try {
        if (this.isSettled(await this.executor.execute(command), command.cursors.length, kind)) return;
      } catch (error) {
        this.logger.error({ err: error, conversationId: command.conversationId }, 'receipts failed');
        break;
      }
      if (this.stopping.signal.aborted) break;
    }
    this.metrics.receiptCursorsDropped.inc(command.cursors.length);
  }

  private isSettled(outcome: Outcome, cursors: number, kind: 'delivered' | 'read'): boolean {
    switch (outcome.kind) {
      case 'accepted':
        this.metrics.receiptEvents.inc({ kind });
        this.metrics.receiptCursors.inc({ kind }, cursors);
        return true;
      // Refused: the conversation is not there any more, and neither is anybody whom the receipt concerns.
      case 'unchanged':
      case 'refused':
      case 'repeated':
        return true;
      case 'unavailable':
        return false;
      default:
        return assertNever(outcome);
    }
  }
}

/**
 * True when a cursor that already stands at `known` gains nothing from `upTo`: it is behind, or only receipts
 * and the like lie between. Without the latter, confirming a receipt's own event would write the next one, and
 * so on for ever.
 */
function covers(state: ConversationState, known: Seq | -1 | undefined, upTo: Seq): boolean {
  const lastMessage = state.recent.newest?.seq ?? -1;
  return (known ?? -1) >= Math.min(upTo, lastMessage);
}

function firstOf<T, R>(items: readonly T[], look: (item: T, n: number) => R | undefined): R | undefined {
  for (const [n, item] of items.entries()) {
    const found = look(item, n);
    if (found !== undefined) return found;
  }
  return undefined;
}

const NOT_FOUND = problem('not_found', 'There is no such conversation.');
const UNAVAILABLE = problem('unavailable', 'Receipts cannot be taken at the moment.', {
  retryAfterMs: RETRY_AFTER_MS,
});

const beyondHead = (field: string): Problem => {
  const message = 'lies beyond the end of the conversation';
  return problem('invalid_input', `${field} ${message}.`, { errors: [{ field, message }] });
};

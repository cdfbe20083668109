import { Injectable, Logger } from '@nestjs/common';
import { EventLogUnavailable } from '../application/ports/event-log';
import type { ConversationId } from '../kernel/ids';
import { backoffMs, pause, stopSignal, type Backoff } from './backoff';
import type { Connection } from './connection';
import { GapReader } from './gap-reader';
import { Hub } from './hub';

/** Connections that are owed something at once; beyond it a device finds out at its next `sync`. */
export const AWAY_DEBTS_MAX = 20_000;
/** Conversations that one `resync` names. */
export const RESYNC_NAMES_MAX = 1_000;
const ASK_AGAIN: Backoff = { baseMs: 1_000, maxMs: 10_000 };

/** What a `sync` could not answer: conversations, by the shard in which they lie. */
export type LeftOut = ReadonlyMap<number, ReadonlySet<ConversationId>>;

/**
 * Devices whose `sync` was answered while a shard was away, without the conversations that lie there. As soon as the shard
 * answers they are told to `resync` those. One question a shard and round finds that out, however many wait.
 */
@Injectable()
export class AwayDebts {
  private readonly logger = new Logger(AwayDebts.name);
  private readonly debts = new Map<Connection, Map<number, ReadonlySet<ConversationId>>>();
  private readonly stopping = stopSignal();
  private isAsking = false;

  constructor(
    private readonly hub: Hub,
    private readonly reader: GapReader,
  ) {}

  get size(): number {
    return this.debts.size;
  }

  /** What the last answer of a connection left out, in the place of what earlier ones did. */
  owe(connection: Connection, leftOut: LeftOut): void {
    this.debts.delete(connection);
    if (leftOut.size === 0 || this.stopping.signal.aborted) return;
    if (this.debts.size >= AWAY_DEBTS_MAX) return;
    this.debts.set(connection, new Map(leftOut));
    if (this.isAsking) return;
    this.isAsking = true;
    void this.askUntilBack();
  }

  /** Forgets everything: the devices go elsewhere and sync there. */
  stop(): void {
    this.stopping.abort();
    this.debts.clear();
  }

  /** Never rejects. */
  private async askUntilBack(): Promise<void> {
    const { signal } = this.stopping;
    for (let attempt = 0; this.debts.size > 0; attempt++) {
      await pause(backoffMs(attempt, ASK_AGAIN), signal);
      for (const connection of this.debts.keys()) {
        if (!this.hub.has(connection)) this.debts.delete(connection);
      }
      const asked = this.oneOfEach();
      const back = await Promise.all(
        [...asked].map(([shard, id]) => this.isBack(id).then((is) => is && shard)),
      );
      for (const shard of back) if (shard !== false) this.pay(shard);
    }
    this.isAsking = false;
  }

  private oneOfEach(): ReadonlyMap<number, ConversationId> {
    const found = new Map<number, ConversationId>();
    for (const leftOut of this.debts.values()) {
      for (const [shard, [id]] of leftOut) if (id !== undefined) found.set(shard, id);
    }
    return found;
  }

  private async isBack(id: ConversationId): Promise<boolean> {
    try {
      await this.reader.head(id);
      return true;
    } catch (error) {
      if (!(error instanceof EventLogUnavailable))
        this.logger.error({ err: error }, 'a shard cannot be asked');
      return false;
    }
  }

  private pay(shard: number): void {
    for (const [connection, leftOut] of this.debts) {
      const ids = [...(leftOut.get(shard) ?? [])];
      leftOut.delete(shard);
      if (leftOut.size === 0) this.debts.delete(connection);
      for (let begin = 0; begin < ids.length; begin += RESYNC_NAMES_MAX) {
        const conversationIds = ids.slice(begin, begin + RESYNC_NAMES_MAX);
        // Not waited for: a slow device must not keep the others waiting.
        void connection.answer({ event: 'resync', data: { conversationIds } });
      }
    }
  }
}

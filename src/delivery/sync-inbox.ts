import { Injectable } from '@nestjs/common';
import { ProjectionProgress } from '../application/ports/projection-progress';
import { InboxReads, type InboxHead, type InboxHeads } from '../application/ports/read-models';
import { StoreUnavailable } from '../application/ports/store-unavailable';
import { seenBy } from '../domain/conversation/visibility';
import type { ConversationId, Seq, UserId } from '../kernel/ids';
import { hasPassed, type Position } from '../kernel/position';
import type { ConversationDto } from '../protocol/schemas';
import { GapReader } from './gap-reader';
import { Limiter } from './limiter';
import { entryOfStranger } from './sync-from-log';
import type { SyncEntry } from './sync-pages';
import { gapOf, neverMine, type Gap } from './sync-plan';
import { toConversationDto } from './views';

/** Queries of the inbox by all devices of this node at once; more would only wait inside Postgres. */
export const SYNC_QUERIES_MAX = 8;
/** After a failure the store is taken to be down for this long: those who wait must not try it one by one. */
export const STORE_DOWN_MS = 1_000;

export type Summaries = ReadonlyMap<ConversationId, ConversationDto>;

interface HeadsFound {
  /** undefined: the store is down. */
  readonly heads: readonly InboxHead[] | undefined;
  readonly isBehind: boolean;
  /** See InboxHeads. */
  readonly leavesOut?: true | undefined;
}

/** What `sync` asks of the read models. */
@Injectable()
export class SyncInbox {
  private readonly limiter = new Limiter(SYNC_QUERIES_MAX);
  /** By the clock that nobody sets: a store must not be down for an hour because a clock was set back. */
  private downUntil = 0;

  constructor(
    private readonly inbox: InboxReads,
    private readonly progress: ProjectionProgress,
    private readonly reader: GapReader,
  ) {}

  /** False when the read models are behind `position` for all of `timeoutMs`, or cannot be asked. */
  async hasPassed(position: Position, timeoutMs: number): Promise<boolean> {
    if (this.isDown()) return false;
    try {
      return await this.progress.waitForPosition(position, timeoutMs);
    } catch (error) {
      this.markDown(error);
      return false;
    }
  }

  /**
   * What is there once the read models have passed `position`; with `isBehind`, what is there after all of `timeoutMs`.
   * That they have passed it is told without a look at them, and no longer true of a store that crashed meanwhile and
   * came back without its last commits: what is found says itself how far it is.
   *
   * @param cursors see InboxReads.heads
   */
  async headsFrom(
    userId: UserId,
    position: Position,
    timeoutMs: number,
    cursors?: ReadonlyMap<ConversationId, Seq>,
  ): Promise<HeadsFound> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const passed = await this.hasPassed(position, Math.max(0, until - performance.now()));
      const heads = await this.heads(userId, passed ? cursors : undefined);
      if (!passed || heads === undefined) return { heads: heads?.items, isBehind: true };
      const isBehind = !hasPassed(heads.asOf, position);
      if (!isBehind || performance.now() >= until) {
        return { heads: heads.items, isBehind, leavesOut: heads.leavesOut };
      }
      this.progress.disbelieve(heads.asOf);
    }
  }

  /** undefined: the store is down. */
  async heads(userId: UserId, cursors?: ReadonlyMap<ConversationId, Seq>): Promise<InboxHeads | undefined> {
    return this.ask(() => this.inbox.heads(userId, cursors));
  }

  /** As the read models are now; empty while the store is down, and the device keeps what it has. */
  async summaries(userId: UserId, ids: readonly ConversationId[]): Promise<Summaries> {
    if (ids.length === 0) return new Map();
    const views = await this.ask(() => this.inbox.conversations(userId, ids));
    return new Map((views ?? []).map((view) => [view.id, toConversationDto(view)]));
  }

  /** Reads a gap's events; undefined: there is nothing to tell after all. @throws EventLogUnavailable */
  async read(
    userId: UserId,
    planned: Gap,
    cursor: Seq | undefined,
    window: number,
    summaries: Summaries,
  ): Promise<SyncEntry | undefined> {
    const { conversationId } = planned;
    if (planned.beyond && (await this.isAhead(conversationId, cursor))) {
      return planned.removed ? entryOfStranger(conversationId) : undefined;
    }
    const summary = summaries.get(conversationId) ?? null;
    const gap = summary === null && !planned.removed ? await this.again(userId, planned, cursor) : planned;
    const found = await this.reader.read({
      conversationId,
      segments: gap.segments,
      window,
      see: (recorded) => seenBy(recorded, userId),
    });
    if (found === undefined) return entryOfStranger(conversationId);
    return {
      conversationId,
      summary: gap.removed ? null : summary,
      frames: found.frames,
      from: found.limited ? (found.from ?? gap.from) : gap.from,
      headSeq: gap.upTo,
      limited: found.limited,
      removed: gap.removed,
    };
  }

  /** A member without a summary has left since the heads were read, and is answered as one who left. */
  private async again(userId: UserId, planned: Gap, cursor: Seq | undefined): Promise<Gap> {
    const answer = await this.ask(async () => ({
      head: await this.inbox.head(userId, planned.conversationId),
    }));
    if (answer === undefined) return planned;
    return answer.head === undefined ? neverMine(planned.conversationId) : gapOf(answer.head, cursor);
  }

  /** A device that was on another node may be ahead of the read models, and then misses nothing. */
  private async isAhead(id: ConversationId, cursor: Seq | undefined): Promise<boolean> {
    const head = await this.reader.head(id);
    return cursor !== undefined && head !== undefined && cursor <= head;
  }

  private async ask<T>(query: () => Promise<T>): Promise<T | undefined> {
    return this.limiter.run(async () => {
      if (this.isDown()) return undefined;
      try {
        return await query();
      } catch (error) {
        this.markDown(error);
        return undefined;
      }
    });
  }

  private isDown(): boolean {
    return performance.now() < this.downUntil;
  }

  private markDown(error: unknown): void {
    if (!(error instanceof StoreUnavailable)) throw error;
    this.downUntil = performance.now() + STORE_DOWN_MS;
  }
}

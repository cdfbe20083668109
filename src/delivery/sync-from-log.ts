import { Injectable } from '@nestjs/common';
import { Executor } from '../application/executor';
import type { ConversationState } from '../domain/conversation/state';
import { asSeq, type ConversationId, type Seq, type UserId } from '../kernel/ids';
import { GapReader } from './gap-reader';
import { MembershipWalk } from './membership-walk';
import { neverMine } from './sync-plan';
import type { SyncEntry } from './sync-pages';

/**
 * Answers a cursor from the log alone, for the time in which the read models are down or behind: who may read what
 * is found out by walking the stream backwards from the conversation's present members. Costs a read of the
 * stream's end for every cursor, moved or not, which is why it is not the ordinary way.
 */
@Injectable()
export class SyncFromLog {
  constructor(
    private readonly executor: Executor,
    private readonly reader: GapReader,
  ) {}

  /** undefined: the device has all there is. @throws EventLogUnavailable */
  async read(
    userId: UserId,
    conversationId: ConversationId,
    cursor: Seq | undefined,
    window: number,
  ): Promise<SyncEntry | undefined> {
    const head = await this.reader.head(conversationId);
    const state = head === undefined ? undefined : await this.stateAt(conversationId, head);
    if (state === undefined) return entryOfStranger(conversationId);
    const isMember = state.members.has(userId);
    const after = cursor === undefined || cursor > state.head ? -1 : cursor;
    if (isMember && after >= state.head) return undefined;
    const walk = new MembershipWalk(userId, isMember, state.settings.historyVisibility);
    const found = await this.reader.read({
      conversationId,
      segments: after < state.head ? [{ low: asSeq(after + 1), high: state.head }] : [],
      window,
      see: (recorded) => walk.see(recorded),
    });
    if (found === undefined) return entryOfStranger(conversationId);
    const headSeq = isMember ? state.head : (walk.leftAt ?? -1);
    const from = found.limited ? (found.from ?? state.head) : asSeq(after + 1);
    const { frames, limited } = found;
    return { conversationId, summary: null, frames, from, headSeq, limited, removed: !isMember };
  }

  /** The executor may lag behind the feed by an append that is under way, and events handed out must not be missed. */
  private stateAt(id: ConversationId, head: Seq): Promise<ConversationState | undefined> {
    return this.executor.state(id, head);
  }
}

export const entryOfStranger = (conversationId: ConversationId): SyncEntry => ({
  conversationId,
  summary: null,
  frames: [],
  from: neverMine(conversationId).from,
  headSeq: -1,
  limited: false,
  removed: true,
});

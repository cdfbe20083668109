import { Injectable } from '@nestjs/common';
import { visibleRanges, type SeqSpan } from '../domain/conversation/visibility';
import { asSeq, type ConversationId, type Seq, type UserId } from '../kernel/ids';
import { Executor } from './executor';
import { InboxReads } from './ports/read-models';

/** What one person may read of one conversation. */
export interface Access {
  readonly isMember: boolean;
  /** Disjoint and ascending, as `visibleRanges` gives them. */
  readonly ranges: readonly SeqSpan[];
  /** How far memberships are known; what comes later may have changed them. */
  readonly knownUpTo: Seq;
}

/** Decides, by visibility.ts alone, what queries may show; undefined for all who never were members. */
@Injectable()
export class ConversationAccess {
  constructor(
    private readonly inbox: InboxReads,
    private readonly executor: Executor,
  ) {}

  /**
   * From the read model, which knows of past memberships, too. Who just joined may not be in it yet: then the
   * present state speaks, so that one can read what one has just made.
   *
   * @throws StoreUnavailable, EventLogUnavailable
   */
  async of(userId: UserId, conversationId: ConversationId): Promise<Access | undefined> {
    return (await this.fromInbox(userId, conversationId)) ?? this.fromState(userId, conversationId);
  }

  /** As {@link of}, as the read model has it now. */
  async fromInbox(userId: UserId, conversationId: ConversationId): Promise<Access | undefined> {
    const head = await this.inbox.head(userId, conversationId);
    const last = head?.spans.at(-1);
    if (head === undefined || last === undefined) return undefined;
    return {
      isMember: last.to === undefined,
      ranges: visibleRanges(head.spans, head.historyVisibility),
      knownUpTo: head.headSeq,
    };
  }

  private async fromState(userId: UserId, conversationId: ConversationId): Promise<Access | undefined> {
    const state = await this.executor.state(conversationId);
    const member = state?.members.get(userId);
    if (state === undefined || member === undefined) return undefined;
    const spans = [{ from: asSeq(member.joinedSeq), to: undefined }];
    return {
      isMember: true,
      ranges: visibleRanges(spans, state.settings.historyVisibility),
      knownUpTo: state.head,
    };
  }
}

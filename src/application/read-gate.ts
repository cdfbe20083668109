import { Injectable } from '@nestjs/common';
import type { ConversationId, Seq, UserId } from '../kernel/ids';
import { ConversationAccess, type Access } from './access';
import { ProjectionProgress } from './ports/projection-progress';
import { BEHIND, NOT_FOUND } from './reads';

/** How long a read waits for the read model to hold its `minSeq` (PROTOCOL.md section 5). */
export const MIN_SEQ_WAIT_MS = 2_000;

type Refused = typeof NOT_FOUND;

export type Entry = { readonly kind: 'admitted'; readonly access: Access } | Refused;

/** What every query about one conversation begins with: who asks, and whether the read model is far enough. */
@Injectable()
export class ReadGate {
  constructor(
    private readonly access: ConversationAccess,
    private readonly progress: ProjectionProgress,
  ) {}

  /**
   * Waits for `minSeq` only on behalf of those who are, or were, members: how long a stranger waits must not
   * tell whether there is something to wait for.
   *
   * @throws StoreUnavailable, EventLogUnavailable
   */
  async enter(userId: UserId, conversationId: ConversationId, minSeq: Seq | undefined): Promise<Entry> {
    if (minSeq !== undefined) {
      if ((await this.access.of(userId, conversationId)) === undefined) return NOT_FOUND;
      if (!(await this.progress.waitForSeq(conversationId, minSeq, MIN_SEQ_WAIT_MS))) return BEHIND;
    }
    const access = await this.access.fromInbox(userId, conversationId);
    return access === undefined ? NOT_FOUND : { kind: 'admitted', access };
  }
}

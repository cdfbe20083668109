import { QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { ConversationState } from '../../domain/conversation/state';
import { mayRead } from '../../domain/conversation/visibility';
import { PAST_SEQ_MAX, PastConversations } from '../past-conversations';
import {
  InboxReads,
  type ConversationView,
  type InboxPage,
  type PastConversationView,
} from '../ports/read-models';
import { ReadGate } from '../read-gate';
import { found, NOT_FOUND, orRefused, refuseRead } from '../reads';
import {
  GetConversationAtQuery,
  GetConversationQuery,
  GetInboxQuery,
  GetMembersQuery,
  type ReadResult,
} from './queries';

/** Members in the view of a conversation (PROTOCOL.md section 5). */
const MEMBERS_IN_VIEW_MAX = 100;

@QueryHandler(GetInboxQuery)
export class GetInboxHandler implements IQueryHandler<GetInboxQuery> {
  constructor(private readonly inbox: InboxReads) {}

  execute({ input: { userId, limit, cursor } }: GetInboxQuery): Promise<ReadResult<InboxPage>> {
    return orRefused(async () => {
      const page = await this.inbox.page(userId, { limit, ...(cursor === undefined ? {} : { cursor }) });
      return page === 'bad_cursor'
        ? refuseRead('invalid_input', 'This is not a cursor of this list.', 'cursor')
        : found(page);
    });
  }
}

@QueryHandler(GetConversationQuery)
export class GetConversationHandler implements IQueryHandler<GetConversationQuery> {
  constructor(
    private readonly inbox: InboxReads,
    private readonly gate: ReadGate,
  ) {}

  execute({ input }: GetConversationQuery): Promise<ReadResult<ConversationView>> {
    const { userId, conversationId, minSeq } = input;
    return orRefused(async () => {
      const entry = await this.gate.enter(userId, conversationId, minSeq);
      if (entry.kind === 'refused') return entry;
      // The view is of the present: who was removed sees it as a stranger does.
      const view = entry.access.isMember ? await this.inbox.conversation(userId, conversationId) : undefined;
      return view === undefined ? NOT_FOUND : found(view);
    });
  }
}

@QueryHandler(GetConversationAtQuery)
export class GetConversationAtHandler implements IQueryHandler<GetConversationAtQuery> {
  constructor(
    private readonly past: PastConversations,
    private readonly gate: ReadGate,
  ) {}

  execute({ input }: GetConversationAtQuery): Promise<ReadResult<PastConversationView>> {
    const { userId, conversationId, minSeq, at } = input;
    return orRefused(async () => {
      const entry = await this.gate.enter(userId, conversationId, minSeq);
      if (entry.kind === 'refused') return entry;
      // What lies past the read model's last word may be past one's own time, too.
      const { ranges, knownUpTo } = entry.access;
      if (at > knownUpTo || !mayRead(ranges, at)) return NOT_FOUND;
      if (at > PAST_SEQ_MAX) {
        return refuseRead('invalid_input', `Only what happened up to ${PAST_SEQ_MAX} can be shown.`, 'at');
      }
      const state = await this.past.at(conversationId, at);
      if (state === 'truncated') {
        return refuseRead('cursor_truncated', 'The beginning of the conversation is no longer kept.', 'at');
      }
      return state === undefined ? NOT_FOUND : found(toPastView(state));
    });
  }
}

function toPastView(state: ConversationState): PastConversationView {
  const { conversationId: id, kind, title, description, avatarFileId } = state;
  const { settings, lastOrdinal, createdAt, head: asOf, members } = state;
  const inOrder = [...members].sort(([a, one], [b, other]) =>
    one.joinedSeq === other.joinedSeq ? (a < b ? -1 : 1) : one.joinedSeq - other.joinedSeq,
  );
  return {
    ...{ id, kind, settings, lastOrdinal, createdAt, asOf },
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(avatarFileId === undefined ? {} : { avatarFileId }),
    memberCount: members.size,
    members: inOrder
      .slice(0, MEMBERS_IN_VIEW_MAX)
      .map(([userId, { role, joinedAt }]) => ({ userId, role, joinedAt })),
  };
}

type Members = Awaited<ReturnType<InboxReads['members']>>;

@QueryHandler(GetMembersQuery)
export class GetMembersHandler implements IQueryHandler<GetMembersQuery> {
  constructor(
    private readonly inbox: InboxReads,
    private readonly gate: ReadGate,
  ) {}

  execute({ input }: GetMembersQuery): Promise<ReadResult<Members>> {
    const { userId, conversationId, minSeq, limit, after } = input;
    return orRefused(async () => {
      const entry = await this.gate.enter(userId, conversationId, minSeq);
      if (entry.kind === 'refused') return entry;
      if (!entry.access.isMember) return NOT_FOUND;
      const options = { limit, ...(after === undefined ? {} : { after }) };
      return found(await this.inbox.members(conversationId, options));
    });
  }
}

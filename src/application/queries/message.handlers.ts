import { QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { mayRead } from '../../domain/conversation/visibility';
import { asSeq, type Seq, type UserId } from '../../kernel/ids';
import { ConversationAccess, type Access } from '../access';
import { Executor } from '../executor';
import {
  CursorReads,
  HistoryReads,
  type HistoryPage,
  type MembershipSpan,
  type MessageView,
  type VersionsPage,
} from '../ports/read-models';
import { ReadGate } from '../read-gate';
import { BEHIND, found, NO_MESSAGE, NOT_FOUND, orRefused, refuseRead } from '../reads';
import { VisibleEvents, type EventsPage } from '../visible-events';
import {
  GetEventsQuery,
  GetMessageQuery,
  GetMessagesQuery,
  GetReceiptsQuery,
  GetVersionsQuery,
  type ReadResult,
} from './queries';

/**
 * The ranges, closed where memberships are known up to: between this and the next question to the store
 * somebody may be removed, and what comes after that is not for them.
 */
const closed = ({ ranges, knownUpTo }: Access): readonly MembershipSpan[] =>
  ranges.map(({ from, to }) => ({ from, to: to ?? knownUpTo }));

@QueryHandler(GetMessagesQuery)
export class GetMessagesHandler implements IQueryHandler<GetMessagesQuery> {
  constructor(
    private readonly history: HistoryReads,
    private readonly gate: ReadGate,
  ) {}

  execute({ input }: GetMessagesQuery): Promise<ReadResult<HistoryPage>> {
    const { userId, conversationId, minSeq, limit, before, after, around } = input;
    return orRefused(async () => {
      if ([before, after, around].filter((place) => place !== undefined).length > 1) {
        return refuseRead('invalid_input', 'Give at most one of before, after and around.', 'before');
      }
      const entry = await this.gate.enter(userId, conversationId, minSeq);
      if (entry.kind === 'refused') return entry;
      const page = await this.history.page({
        conversationId,
        userId,
        visible: closed(entry.access),
        limit,
        ...(before === undefined ? {} : { before }),
        ...(after === undefined ? {} : { after }),
        ...(around === undefined ? {} : { around }),
      });
      return found(page);
    });
  }
}

@QueryHandler(GetMessageQuery)
export class GetMessageHandler implements IQueryHandler<GetMessageQuery> {
  constructor(
    private readonly history: HistoryReads,
    private readonly gate: ReadGate,
  ) {}

  execute({ input }: GetMessageQuery): Promise<ReadResult<MessageView>> {
    const { userId, conversationId, minSeq, seq } = input;
    return orRefused(async () => {
      const entry = await this.gate.enter(userId, conversationId, minSeq);
      if (entry.kind === 'refused') return entry;
      const visible = closed(entry.access);
      if (!mayRead(visible, seq)) return NO_MESSAGE;
      const message = await this.history.message({ userId, conversationId, seq, visible });
      return message === undefined ? NO_MESSAGE : found(message);
    });
  }
}

@QueryHandler(GetVersionsQuery)
export class GetVersionsHandler implements IQueryHandler<GetVersionsQuery> {
  constructor(
    private readonly history: HistoryReads,
    private readonly gate: ReadGate,
  ) {}

  execute({ input }: GetVersionsQuery): Promise<ReadResult<VersionsPage>> {
    const { userId, conversationId, minSeq, seq, limit, after } = input;
    return orRefused(async () => {
      const entry = await this.gate.enter(userId, conversationId, minSeq);
      if (entry.kind === 'refused') return entry;
      const visible = closed(entry.access);
      if (!mayRead(visible, seq)) return NO_MESSAGE;
      const place = after === undefined ? {} : { after };
      const page = await this.history.versions({ userId, conversationId, seq, visible, limit, ...place });
      return page === undefined ? NO_MESSAGE : found(page);
    });
  }
}

/** From the log itself, which is never behind: `minSeq` has nothing to wait for. */
@QueryHandler(GetEventsQuery)
export class GetEventsHandler implements IQueryHandler<GetEventsQuery> {
  constructor(
    private readonly access: ConversationAccess,
    private readonly executor: Executor,
    private readonly events: VisibleEvents,
  ) {}

  execute({ input }: GetEventsQuery): Promise<ReadResult<EventsPage>> {
    const { userId, conversationId, after, limit } = input;
    return orRefused(async () => {
      const access = await this.access.of(userId, conversationId);
      if (access === undefined) return NOT_FOUND;
      // Where the conversation ends by now is not for those who left it.
      if (after !== undefined && access.isMember) {
        const state = await this.executor.state(conversationId, after);
        if (after > (state?.head ?? -1)) {
          return refuseRead('invalid_input', 'There is nothing at this seq yet.', 'after');
        }
      }
      const from = asSeq((after ?? -1) + 1);
      const page = await this.events.page({ userId, conversationId, access, from, limit });
      if (page === 'truncated') {
        return refuseRead('cursor_truncated', 'Some of these events are no longer kept.', 'after');
      }
      return page === 'behind' ? BEHIND : found(page);
    });
  }
}

interface Receipts {
  readonly delivered: readonly Receipt[];
  readonly read: readonly Receipt[];
}
interface Receipt {
  readonly userId: UserId;
  readonly upTo: Seq;
}

/**
 * Who has received and read a message, in groups of any size (PROTOCOL.md section 3: large groups are told
 * in summaries, and anyone may ask). Cursors are of the present, and so are those who may see them.
 */
@QueryHandler(GetReceiptsQuery)
export class GetReceiptsHandler implements IQueryHandler<GetReceiptsQuery> {
  constructor(
    private readonly cursors: CursorReads,
    private readonly gate: ReadGate,
  ) {}

  execute({ input }: GetReceiptsQuery): Promise<ReadResult<Receipts>> {
    const { userId, conversationId, minSeq, seq } = input;
    return orRefused(async () => {
      const entry = await this.gate.enter(userId, conversationId, minSeq);
      if (entry.kind === 'refused') return entry;
      if (!entry.access.isMember) return NOT_FOUND;
      if (!mayRead(closed(entry.access), seq)) return NO_MESSAGE;
      const { delivered, read } = await this.cursors.receipts(conversationId, seq);
      return found({ delivered: furthest(delivered), read });
    });
  }
}

/** Cursors of devices as those of their users: a message has reached a user with the first of their devices. */
function furthest(cursors: readonly Receipt[]): readonly Receipt[] {
  const byUser = new Map<UserId, Seq>();
  for (const { userId, upTo } of cursors) {
    const known = byUser.get(userId);
    if (known === undefined || upTo > known) byUser.set(userId, upTo);
  }
  return Array.from(byUser, ([userId, upTo]) => ({ userId, upTo }));
}

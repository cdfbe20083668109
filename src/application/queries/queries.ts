import { Query } from '@nestjs/cqrs';
import type { Recorded } from '../../domain/conversation/events';
import type { ConversationId, Seq, UserId } from '../../kernel/ids';
import type {
  ConversationView,
  HistoryPage,
  InboxPage,
  MemberView,
  MessageView,
  PastConversationView,
  VersionsPage,
} from '../ports/read-models';

/** A read's refusal, with a code of PROTOCOL.md section 4. */
export interface ReadRefusal {
  readonly code: 'not_found' | 'invalid_input' | 'cursor_truncated' | 'unavailable';
  readonly detail: string;
  readonly field?: string;
}

export type ReadResult<T> =
  { readonly kind: 'found'; readonly value: T } | { readonly kind: 'refused'; readonly refusal: ReadRefusal };

interface Base {
  readonly userId: UserId;
}
interface InConversation extends Base {
  readonly conversationId: ConversationId;
  /** Wait (MIN_SEQ_WAIT_MS at most, then `unavailable`) until the read model holds this seq. */
  readonly minSeq?: Seq;
}

abstract class Read<T, R> extends Query<ReadResult<R>> {
  constructor(readonly input: Readonly<T>) {
    super();
  }
}

export class GetInboxQuery extends Read<
  Base & { readonly limit: number; readonly cursor?: string },
  InboxPage
> {}
export class GetConversationQuery extends Read<InConversation, ConversationView> {}
/** As it was after the event at `at`, from the log itself; only for those who may read that event. */
export class GetConversationAtQuery extends Read<
  InConversation & { readonly at: Seq },
  PastConversationView
> {}
export class GetMembersQuery extends Read<
  InConversation & { readonly limit: number; readonly after?: UserId },
  { readonly items: readonly MemberView[]; readonly hasMore: boolean }
> {}
/** Messages as this user may see them; at most one of before, after, around. */
export class GetMessagesQuery extends Read<
  InConversation & {
    readonly limit: number;
    readonly before?: Seq;
    readonly after?: Seq;
    readonly around?: Seq;
  },
  HistoryPage
> {}
export class GetMessageQuery extends Read<InConversation & { readonly seq: Seq }, MessageView> {}
/** All that a message has said, oldest first; only the versions that were made within this user's times. */
export class GetVersionsQuery extends Read<
  InConversation & { readonly seq: Seq; readonly limit: number; readonly after?: Seq },
  VersionsPage
> {}
/** The raw events after a seq (default: from the first), only those this user may see, from the log itself. */
export class GetEventsQuery extends Read<
  InConversation & { readonly after?: Seq; readonly limit: number },
  {
    readonly items: readonly Recorded[];
    readonly hasMore: boolean;
    /** Seq to continue after, when `hasMore`. */
    readonly next?: Seq;
  }
> {}
export class GetReceiptsQuery extends Read<
  InConversation & { readonly seq: Seq },
  {
    readonly delivered: readonly { readonly userId: UserId; readonly upTo: Seq }[];
    readonly read: readonly { readonly userId: UserId; readonly upTo: Seq }[];
  }
> {}

import type { Position } from '../../kernel/position';
import type { ConversationId, DeviceId, Millis, Ordinal, Seq, UserId } from '../../kernel/ids';
import type {
  ConversationKind,
  ConversationSettings,
  ForwardedFrom,
  MessageContent,
  Role,
} from '../../domain/conversation/events';

/** Half-open times of membership: from the joining seq to, and including, the leaving one. */
export interface MembershipSpan {
  readonly from: Seq;
  /** undefined: still a member. */
  readonly to: Seq | undefined;
}

export interface ReactionView {
  readonly emoji: string;
  readonly count: number;
  /** At most 20, in the order of reacting. */
  readonly userIds: readonly UserId[];
  readonly mine: boolean;
}

/**
 * A message as one person may see it: as it now is, made of the edits and reactions that lie within their times.
 * A deletion is seen by all, whenever it happened: it erases.
 */
export interface MessageView {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  readonly ordinal: Ordinal;
  readonly messageId: string;
  readonly clientMessageId: string;
  readonly senderId: UserId;
  readonly at: Millis;
  /** null: deleted. */
  readonly content: MessageContent | null;
  readonly replyTo?: Seq;
  readonly threadOf?: Seq;
  readonly forwardedFrom?: ForwardedFrom;
  readonly mentions: readonly UserId[];
  readonly originalAt?: string;
  readonly expiresAt?: string;
  readonly version: number;
  readonly editedAt?: Millis;
  readonly deletedAt?: Millis;
  readonly reactions: readonly ReactionView[];
}

export interface MemberView {
  readonly userId: UserId;
  readonly role: Role;
  readonly joinedAt: Millis;
}

/** A conversation as one user sees it in the inbox. */
export interface ConversationView {
  readonly id: ConversationId;
  readonly kind: ConversationKind;
  readonly title?: string;
  readonly description?: string;
  readonly avatarFileId?: string;
  /** At most MEMBERS_IN_VIEW_MAX (100), in the order of joining. */
  readonly members: readonly MemberView[];
  readonly memberCount: number;
  readonly settings: ConversationSettings;
  readonly headSeq: Seq;
  readonly lastOrdinal: Ordinal | 0;
  readonly lastMessage: MessageView | null;
  readonly unreadCount: number;
  readonly mentionCount: number;
  /** -1: nothing read yet. */
  readonly readUpTo: Seq | -1;
  readonly createdAt: Millis;
  readonly activeAt: Millis;
}

/** A conversation as it was after one of its events: what belongs to all its members, and to none alone. */
export interface PastConversationView extends Pick<
  ConversationView,
  | 'id'
  | 'kind'
  | 'title'
  | 'description'
  | 'avatarFileId'
  | 'members'
  | 'memberCount'
  | 'settings'
  | 'lastOrdinal'
  | 'createdAt'
> {
  readonly asOf: Seq;
}

export interface InboxPage {
  readonly items: readonly ConversationView[];
  readonly hasMore: boolean;
  /** Opaque; present when `hasMore`. */
  readonly nextCursor?: string;
}

/** One line of what sync needs about a conversation of a user: all of them in one query. */
export interface InboxHead {
  readonly conversationId: ConversationId;
  readonly headSeq: Seq;
  readonly activeAt: Millis;
  readonly historyVisibility: 'joined' | 'shared';
  /** Ascending; the last one open while the user is a member. */
  readonly spans: readonly MembershipSpan[];
}

/** All that there is of one user, and how far the log was read for it. */
export interface InboxHeads {
  /** Newest activity first. */
  readonly items: readonly InboxHead[];
  /** In the same look at the store: everything up to here is in `items`. */
  readonly asOf: Position;
  /** Left out are conversations of which the one who asked has everything; no others. */
  readonly leavesOut?: true;
}

export abstract class InboxReads {
  /** Newest activity first. `cursor` is a `nextCursor` of before. @returns 'bad_cursor' for any other text. */
  abstract page(
    userId: UserId,
    options: { readonly limit: number; readonly cursor?: string },
  ): Promise<InboxPage | 'bad_cursor'>;
  /** The conversation as this user sees it; undefined: not a member now. */
  abstract conversation(userId: UserId, id: ConversationId): Promise<ConversationView | undefined>;
  abstract conversations(
    userId: UserId,
    ids: readonly ConversationId[],
  ): Promise<readonly ConversationView[]>;
  /**
   * All conversations the user is or was a member of.
   *
   * @param cursors what the one who asks has: conversations whose head that is, and that the user has never left, may be
   *   left out, so that what did not move costs hardly anything
   */
  abstract heads(userId: UserId, cursors?: ReadonlyMap<ConversationId, Seq>): Promise<InboxHeads>;
  abstract head(userId: UserId, id: ConversationId): Promise<InboxHead | undefined>;
  /** Members in the order of joining. */
  abstract members(
    id: ConversationId,
    options: { readonly limit: number; readonly after?: UserId },
  ): Promise<{ readonly items: readonly MemberView[]; readonly hasMore: boolean }>;
}

/** One of the versions of a message: 1 as it was sent, each edit the next. */
export interface VersionView {
  readonly version: number;
  /** null: the message was deleted, in all its versions. */
  readonly content: MessageContent | null;
  readonly at: Millis;
  /** Of the event that made it. */
  readonly seq: Seq;
}

export interface VersionsPage {
  /** Ascending by seq. */
  readonly items: readonly VersionView[];
  readonly hasMore: boolean;
}

/**
 * `visible` are seqs, both ends included: what one may read. Messages outside of them are not returned; edits and
 * reactions outside of them are not shown, so that a message looks as the events within would make it. Somebody
 * who was away for a while does not see what was made of older messages meanwhile, just as their devices never
 * got these events. Deletions alone are shown whenever they happened.
 */
export interface HistoryQuery {
  readonly conversationId: ConversationId;
  readonly userId: UserId;
  readonly visible: readonly MembershipSpan[];
  readonly limit: number;
  /** At most one of the three; seqs, exclusive for before/after. */
  readonly before?: Seq;
  readonly after?: Seq;
  readonly around?: Seq;
}

export interface HistoryPage {
  /** Ascending by seq. */
  readonly items: readonly MessageView[];
  readonly hasMore: boolean;
}

/** `seq` must lie in `visible`, which is as in {@link HistoryQuery}. */
export interface MessageQuery {
  readonly conversationId: ConversationId;
  readonly userId: UserId;
  readonly seq: Seq;
  readonly visible: readonly MembershipSpan[];
}

export interface VersionsQuery extends MessageQuery {
  readonly limit: number;
  /** Only versions made by later events. */
  readonly after?: Seq;
}

export abstract class HistoryReads {
  abstract page(query: HistoryQuery): Promise<HistoryPage>;
  /** undefined: no message, or hidden by this user from themselves. */
  abstract message(query: MessageQuery): Promise<MessageView | undefined>;
  /** As {@link message}; with `after`, a message that is not there has no versions. */
  abstract versions(query: VersionsQuery): Promise<VersionsPage | undefined>;
  /** Delete for me: hidden from this user's pages from now on. Idempotent. */
  abstract hide(userId: UserId, conversationId: ConversationId, seq: Seq): Promise<void>;
}

export interface ReceiptsView {
  readonly delivered: readonly { readonly userId: UserId; readonly deviceId: DeviceId; readonly upTo: Seq }[];
  readonly read: readonly { readonly userId: UserId; readonly upTo: Seq }[];
}

export abstract class CursorReads {
  /** Cursors at or past `seq`. */
  abstract receipts(conversationId: ConversationId, seq: Seq): Promise<ReceiptsView>;
}

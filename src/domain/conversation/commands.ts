import type {
  ClientMessageId,
  ConversationId,
  FileId,
  MessageId,
  Millis,
  Ordinal,
  Seq,
  UserId,
} from '../../kernel/ids';
import type {
  ConversationKind,
  ConversationSettings,
  DeliveredCursor,
  ForwardedFrom,
  MessageContent,
  ReadCursor,
  Role,
} from './events';

interface Base {
  readonly conversationId: ConversationId;
  readonly by: UserId;
  readonly at: Millis;
}

export interface StartConversation extends Base {
  readonly type: 'StartConversation';
  readonly kind: ConversationKind;
  /** The others; the starter is added when missing. Exactly one other for a direct conversation. */
  readonly memberIds: readonly UserId[];
  readonly title?: string;
  readonly settings?: Partial<ConversationSettings>;
  /** From configuration: the most members of a group. Default, and never more than, MEMBERS_MAX. */
  readonly membersMax?: number;
}

export interface ChangeConversation extends Base {
  readonly type: 'ChangeConversation';
  readonly title?: string;
  readonly description?: string;
  readonly avatarFileId?: FileId;
  readonly settings?: Partial<ConversationSettings>;
}

export interface AddMembers extends Base {
  readonly type: 'AddMembers';
  readonly userIds: readonly UserId[];
  readonly role?: Role;
  /** As in {@link StartConversation}. */
  readonly membersMax?: number;
}

export interface RemoveMember extends Base {
  readonly type: 'RemoveMember';
  readonly userId: UserId;
}

export interface LeaveConversation extends Base {
  readonly type: 'LeaveConversation';
}

export interface ChangeRole extends Base {
  readonly type: 'ChangeRole';
  readonly userId: UserId;
  readonly role: Role;
}

/** Direct conversations only: while somebody blocks the other, neither can send. */
export interface SetBlock extends Base {
  readonly type: 'SetBlock';
  readonly on: boolean;
}

/** What a message that is already stored answers to its retry. */
export interface StoredMessage {
  readonly messageId: MessageId;
  readonly seq: Seq;
  readonly ordinal: Ordinal;
  readonly at: Millis;
  readonly contentHash: string;
}

/**
 * The permanent index's word on a key: what it found, or that it has nothing up to and including `asOf`,
 * the head of the conversation when it was asked.
 */
export interface IndexAnswer {
  readonly found: StoredMessage | undefined;
  readonly asOf: Seq;
}

export interface SendMessage extends Base {
  readonly type: 'SendMessage';
  readonly clientMessageId: ClientMessageId;
  readonly messageId: MessageId;
  readonly content: MessageContent;
  readonly contentHash: string;
  readonly replyTo?: Seq;
  readonly threadOf?: Seq;
  readonly forwardedFrom?: ForwardedFrom;
  readonly mentions?: readonly UserId[];
  readonly originalAt?: string;
  /** Set by the executor after a `lookup` decision; never by a caller. */
  readonly index?: IndexAnswer;
}

/** The facts of the message a command is about, read from the log by its seq: events never change. */
export interface TargetMessage {
  readonly seq: Seq;
  readonly by: UserId;
  readonly at: Millis;
  /** Of a message that disappears: from then on it is as good as deleted. */
  readonly expiresAt?: Millis;
}

interface OnMessage extends Base {
  readonly target: Seq;
  /** undefined: the event at `target` is no message, or there is none. */
  readonly message: TargetMessage | undefined;
}

export interface EditMessage extends OnMessage {
  readonly type: 'EditMessage';
  readonly content: MessageContent;
  /** From configuration: how long after sending a message may be edited. */
  readonly editWindowMs: number;
}

/** Delete for everyone. */
export interface DeleteMessage extends OnMessage {
  readonly type: 'DeleteMessage';
}

/** The server's own, for a message whose time is over; `by` is THE_SERVER. */
export interface ExpireMessage extends OnMessage {
  readonly type: 'ExpireMessage';
}

export interface SetReaction extends OnMessage {
  readonly type: 'SetReaction';
  readonly emoji: string;
  readonly on: boolean;
}

/** Gathered receipts; cursors of non-members and cursors that do not advance are left out, in silence. */
export interface RecordDelivered extends Base {
  readonly type: 'RecordDelivered';
  readonly cursors: readonly DeliveredCursor[];
}

export interface RecordRead extends Base {
  readonly type: 'RecordRead';
  readonly cursors: readonly ReadCursor[];
}

export type ConversationCommand =
  | StartConversation
  | ChangeConversation
  | AddMembers
  | RemoveMember
  | LeaveConversation
  | ChangeRole
  | SetBlock
  | SendMessage
  | EditMessage
  | DeleteMessage
  | ExpireMessage
  | SetReaction
  | RecordDelivered
  | RecordRead;

export type RefusalCode =
  | 'invalid_input'
  | 'not_a_member'
  | 'forbidden'
  | 'blocked'
  | 'not_found'
  | 'conflict'
  | 'client_message_id_reused'
  | 'edit_window_closed'
  | 'too_large';

export interface Refusal {
  readonly code: RefusalCode;
  /** A sentence for a person. */
  readonly detail: string;
  /** The input field at fault, as PROTOCOL.md names it. */
  readonly field?: string;
}

/** Asks the executor to look the key up in the permanent index and to decide again with its answer. */
export interface LookupRequest {
  readonly by: UserId;
  readonly clientMessageId: ClientMessageId;
  /** The index must hold this key first: then it holds everything older, too. undefined: no window yet. */
  readonly after: { readonly by: UserId; readonly clientMessageId: ClientMessageId } | undefined;
  /** Head of the conversation at this decision. */
  readonly asOf: Seq;
}

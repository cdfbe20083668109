import type {
  ClientMessageId,
  ConversationId,
  DeviceId,
  FileId,
  MessageId,
  Millis,
  Ordinal,
  Seq,
  UserId,
} from '../../kernel/ids';
import type { Json } from '../../kernel/json';

export type ConversationKind = 'direct' | 'group';
export type Role = 'owner' | 'admin' | 'member';
export type HistoryVisibility = 'joined' | 'shared';
export type Whom = 'everyone' | 'admins';

export interface ConversationSettings {
  readonly historyVisibility: HistoryVisibility;
  readonly disappearAfterSeconds?: number;
  readonly whoMayInvite: Whom;
  readonly whoMayPost: Whom;
}

/** Opaque to the domain: only the edges look inside (validation on the way in, projections on the way out). */
export type MessageContent = { readonly type: string } & { readonly [key: string]: Json };

export interface ForwardedFrom {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
}

export interface DeliveredCursor {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly upTo: Seq;
}

export interface ReadCursor {
  readonly userId: UserId;
  readonly upTo: Seq;
}

/**
 * Who receives a receipts event. Decided once, when it is written, by the size of the group (DESIGN.md
 * section 5), so that live delivery, sync and replay years later all agree on who saw it: `concerned` shows
 * each user only the cursors that are that user's own.
 */
export type ReceiptAudience = 'everyone' | 'concerned';

export interface ConversationStarted {
  readonly type: 'ConversationStarted';
  readonly by: UserId;
  readonly kind: ConversationKind;
  readonly title?: string;
  /** All first members, the starter included. In a group the starter is its owner. */
  readonly memberIds: readonly UserId[];
  readonly settings?: Partial<ConversationSettings>;
}

export interface ConversationChanged {
  readonly type: 'ConversationChanged';
  readonly by: UserId;
  readonly title?: string;
  readonly description?: string;
  readonly avatarFileId?: FileId;
  readonly settings?: Partial<ConversationSettings>;
}

export type MembershipChange = 'joined' | 'left' | 'removed' | 'roleChanged' | 'blocked' | 'unblocked';

export interface MembershipChanged {
  readonly type: 'MembershipChanged';
  readonly by: UserId;
  readonly userId: UserId;
  readonly change: MembershipChange;
  /** With `joined` and `roleChanged`. */
  readonly role?: Role;
}

export interface MessageSent {
  readonly type: 'MessageSent';
  readonly by: UserId;
  readonly messageId: MessageId;
  readonly clientMessageId: ClientMessageId;
  readonly ordinal: Ordinal;
  readonly content: MessageContent;
  /** SHA-256, hex, over the canonical JSON of all that the sender chose; tells a retry from a reused key. */
  readonly contentHash: string;
  readonly replyTo?: Seq;
  readonly threadOf?: Seq;
  readonly forwardedFrom?: ForwardedFrom;
  readonly mentions?: readonly UserId[];
  readonly expiresAt?: string;
  /** When the message was said where it was imported from, in ISO 8601; data, never used for ordering. */
  readonly originalAt?: string;
}

export interface MessageEdited {
  readonly type: 'MessageEdited';
  readonly by: UserId;
  readonly target: Seq;
  readonly content: MessageContent;
  /** 2 for the first edit; rises with each. */
  readonly version: number;
}

export interface MessageDeleted {
  readonly type: 'MessageDeleted';
  readonly by: UserId;
  readonly target: Seq;
}

export interface ReactionChanged {
  readonly type: 'ReactionChanged';
  readonly by: UserId;
  readonly target: Seq;
  readonly emoji: string;
  readonly change: 'added' | 'removed';
}

export interface MessageDelivered {
  readonly type: 'MessageDelivered';
  readonly by: UserId;
  readonly cursors: readonly DeliveredCursor[];
  readonly audience: ReceiptAudience;
  /**
   * Since version 2: the cursors of a large group, but for the few in `cursors` that cannot be packed
   * (packed-cursors.ts). An event that has it is seen by nobody: what was delivered is told in summaries.
   */
  readonly packed?: string;
}

export interface MessageRead {
  readonly type: 'MessageRead';
  readonly by: UserId;
  readonly cursors: readonly ReadCursor[];
  readonly audience: ReceiptAudience;
  /** Since version 2: as in {@link MessageDelivered}, but everybody sees their own cursor. */
  readonly packed?: string;
}

/** Everything that can happen in a conversation; the stored event's type is the `type` here. */
export type ConversationEvent =
  | ConversationStarted
  | ConversationChanged
  | MembershipChanged
  | MessageSent
  | MessageEdited
  | MessageDeleted
  | ReactionChanged
  | MessageDelivered
  | MessageRead;

export type ConversationEventType = ConversationEvent['type'];

export const CONVERSATION_EVENT_TYPES: readonly ConversationEventType[] = [
  'ConversationStarted',
  'ConversationChanged',
  'MembershipChanged',
  'MessageSent',
  'MessageEdited',
  'MessageDeleted',
  'ReactionChanged',
  'MessageDelivered',
  'MessageRead',
];

/** An event with its place and time: what the log adds to it. */
export interface Recorded<E extends ConversationEvent = ConversationEvent> {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  readonly at: Millis;
  readonly event: E;
}

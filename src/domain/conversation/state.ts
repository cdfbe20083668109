import type { Map, OrderedMap } from 'immutable';
import type {
  ClientMessageId,
  ConversationId,
  MessageId,
  Millis,
  Ordinal,
  Seq,
  UserId,
} from '../../kernel/ids';
import type { BoundedMap } from './bounded-map';
import type { DeletedRanges } from './deleted-ranges';
import type { ConversationKind, ConversationSettings, Role } from './events';
import type { RecentMessages } from './recent-messages';

export interface Member {
  readonly role: Role;
  /** The event that made them a member; they may read from here on (`historyVisibility: joined`). */
  readonly joinedSeq: Seq;
  readonly joinedAt: Millis;
  readonly readUpTo: Seq | -1;
  /** The furthest delivered cursor of any of their devices; what large groups are told in numbers. */
  readonly deliveredUpTo: Seq | -1;
  /**
   * The latest birth time among this sender's UUIDv7 keys that have left the dedupe window; -1: none has. A
   * key born later has certainly not been dropped, so the window alone decides about it (docs/adr/0005).
   */
  readonly droppedBirth: number;
}

/** One entry of the dedupe window. */
export interface RecentMessage {
  readonly by: UserId;
  readonly clientMessageId: ClientMessageId;
  readonly messageId: MessageId;
  readonly seq: Seq;
  readonly ordinal: Ordinal;
  readonly at: Millis;
  readonly contentHash: string;
}

/**
 * All that deciding needs, and no more: its size is bounded by members and by the named windows, never by the
 * number of messages. Collections are persistent (immutable.js): evolving costs the change, not the group.
 */
export interface ConversationState {
  readonly conversationId: ConversationId;
  readonly kind: ConversationKind;
  readonly title: string | undefined;
  readonly description: string | undefined;
  readonly avatarFileId: string | undefined;
  readonly settings: ConversationSettings;
  readonly createdAt: Millis;
  /** Who started it, and the fingerprint of how: a repeated start is told from another one by them. */
  readonly startedBy: UserId;
  readonly startedAs: string;
  /** Seq of the last event. */
  readonly head: Seq;
  readonly lastOrdinal: Ordinal | 0;
  readonly members: Map<UserId, Member>;
  /** Members of a direct conversation who block the other. */
  readonly blockers: Map<UserId, true>;
  /**
   * Those who left or were removed, with their `droppedBirth` from then on; the first to leave goes first out
   * of DEPARTED_MAX. They know that the conversation exists, so they are told `not_a_member`, not
   * `not_found`.
   */
  readonly departed: OrderedMap<UserId, number>;
  /**
   * Delivered cursors, `${userId}/${deviceId}` → seq, of DELIVERED_DEVICES_MAX devices, oldest first out. A
   * cursor that was forgotten may be recorded once more; read models keep the highest.
   */
  readonly delivered: BoundedMap<string, Seq>;
  /** The dedupe window: the newest messages, at most DEDUPE_WINDOW_MAX. */
  readonly recent: RecentMessages;
  /** Seq of the last entry that left the window; -1: none has, and the window knows every message. */
  readonly droppedUpTo: Seq | -1;
  /**
   * The largest `droppedBirth` among those who are no longer in `departed`: what somebody starts with of whom
   * nobody remembers whether they were here before. -1: nobody has been forgotten.
   */
  readonly departedBirth: number;
  /**
   * Deleted messages, at most DELETED_RANGES_MAX ranges. Only neighbours in the log merge, and receipts lie
   * between most messages, so a bound is needed; beyond it the lowest seqs are forgotten. Acting on such a
   * message then appends an event that changes no read model, because there a deletion is final.
   */
  readonly deleted: DeletedRanges;
  /** Message seq → version of its last edit, for VERSIONS_MAX messages, first edited first out. */
  readonly versions: BoundedMap<Seq, number>;
  /** What messages no longer in `versions` may have reached; 1: none was ever forgotten. */
  readonly versionFloor: number;
  /** `${target}/${userId}/${emoji}` → is it on, for REACTIONS_MAX of them, oldest first out. */
  readonly reactions: BoundedMap<string, boolean>;
}

/** More than this many members at once: `too_large`. What the state is made for; configuration allows fewer. */
export const MEMBERS_MAX = 10_000;
/** More than this many in one command: `too_large`. A thousand joinings are 600 KB of one append. */
export const MEMBERS_PER_COMMAND_MAX = 1_000;
/** Newest messages whose keys decide by themselves whether a send is a repetition. */
export const DEDUPE_WINDOW_MAX = 256;
export const DEPARTED_MAX = 1_000;
export const DELIVERED_DEVICES_MAX = 2_048;
export const DELETED_RANGES_MAX = 2_048;
export const VERSIONS_MAX = 1_000;
export const REACTIONS_MAX = 1_000;
/** Up to here receipts go to everyone; above, each member sees only their own (DESIGN.md section 5). */
export const RECEIPTS_BROADCAST_MEMBERS_MAX = 32;

/** How much a state remembers. One set for the product; specs fold with smaller ones to reach the bounds. */
export interface StateLimits {
  readonly dedupeWindow: number;
  readonly departed: number;
  readonly deliveredDevices: number;
  readonly deletedRanges: number;
  readonly versions: number;
  readonly reactions: number;
}

export const STATE_LIMITS: StateLimits = {
  dedupeWindow: DEDUPE_WINDOW_MAX,
  departed: DEPARTED_MAX,
  deliveredDevices: DELIVERED_DEVICES_MAX,
  deletedRanges: DELETED_RANGES_MAX,
  versions: VERSIONS_MAX,
  reactions: REACTIONS_MAX,
};

import type { Audience } from '../domain/conversation/audience';
import type { Recorded } from '../domain/conversation/events';
import { reachOf } from '../domain/conversation/packed-cursors';
import type { ConversationId, Millis, Ordinal, Seq, UserId } from '../kernel/ids';
import { toEventFrame } from './event-frame';
import { concernOf, isVeryLarge, plan, type Concern } from './plan';

/** One form of an event: the whole frame, UTF-8, and who gets it in this form. */
export interface Form {
  readonly bytes: Buffer;
  readonly userIds: readonly UserId[];
}

/** What fan-out has to know of a group in which not everybody gets everything. */
export interface VeryLarge {
  readonly lastOrdinal: Ordinal | 0;
  /** Who may be told that something happened. */
  readonly members: Iterable<UserId>;
  readonly concern: Concern | undefined;
}

/**
 * An event as the sockets get it: its audience folded, its forms encoded, nothing left to look up. Made by this node
 * from the log, or by a relay that has read the log for all nodes; what happens to it here is the same.
 */
export interface PlannedEvent {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  readonly forms: readonly Form[];
  /** When a message was decided; undefined: it is no message. */
  readonly sentAt: Millis | undefined;
  /** How far packed receipts reach, of which their authors are told in sums. */
  readonly reach: number | undefined;
  /** Absent: everybody gets everything. */
  readonly veryLarge: VeryLarge | undefined;
}

/** @param audience as of the event; forms that nobody who is connected gets are left out, and not encoded */
export function planned(
  recorded: Recorded,
  receivers: Iterable<UserId>,
  audience: Audience,
  isConnected: (userId: UserId) => boolean,
): PlannedEvent {
  const { conversationId, seq, event, at } = recorded;
  const forms = plan(recorded, receivers, isConnected).map(({ recorded: form, userIds }) => ({
    bytes: Buffer.from(JSON.stringify(toEventFrame(form))),
    userIds,
  }));
  return {
    conversationId,
    seq,
    forms,
    sentAt: event.type === 'MessageSent' ? at : undefined,
    reach: 'packed' in event ? reachOf(event) : undefined,
    veryLarge: isVeryLarge(audience)
      ? { lastOrdinal: audience.lastOrdinal, members: audience.members, concern: concernOf(recorded) }
      : undefined,
  };
}

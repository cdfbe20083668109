import { Set } from 'immutable';
import { assertNever } from '../../kernel/assert-never';
import type { ConversationId, Ordinal, Seq, UserId } from '../../kernel/ids';
import type { ConversationKind, MessageDelivered, MessageRead, Recorded } from './events';
import { readCursorsOf } from './packed-cursors';
import type { ConversationState } from './state';

/** Who is a member at `seq`, and little else: what live delivery folds as it goes along the log. */
export interface Audience {
  readonly conversationId: ConversationId;
  readonly kind: ConversationKind;
  readonly members: Set<UserId>;
  /** Of the last message at `seq`. */
  readonly lastOrdinal: Ordinal | 0;
  readonly seq: Seq;
}

/** The audience at the head of a state, for a fold that begins in the middle of a stream. */
export const audienceOf = ({
  conversationId,
  kind,
  members,
  lastOrdinal,
  head,
}: ConversationState): Audience => ({
  conversationId,
  kind,
  members: Set(members.keys()),
  lastOrdinal,
  seq: head,
});

/**
 * The audience after one more event. Events it already knows change nothing.
 *
 * @throws Error when events were left out, or the stream does not begin with its start: a missed removal
 * would hand a conversation to somebody who was thrown out of it.
 */
export function evolveAudience(audience: Audience | undefined, recorded: Recorded): Audience {
  const { conversationId, seq, event } = recorded;
  if (audience === undefined) {
    if (event.type !== 'ConversationStarted') throw leftOut(recorded, 'the start');
    return { conversationId, kind: event.kind, members: Set(event.memberIds), lastOrdinal: 0, seq };
  }
  if (seq <= audience.seq) return audience;
  if (seq !== audience.seq + 1) throw leftOut(recorded, `what follows ${audience.seq}`);
  const lastOrdinal = event.type === 'MessageSent' ? event.ordinal : audience.lastOrdinal;
  return { ...audience, members: membersAfter(audience.members, recorded), lastOrdinal, seq };
}

function leftOut({ conversationId, seq }: Recorded, what: string): Error {
  return new Error(`event ${seq} of conversation ${conversationId} came without ${what}`);
}

function membersAfter(members: Set<UserId>, { event }: Recorded): Set<UserId> {
  if (event.type !== 'MembershipChanged') return members;
  const { change, userId } = event;
  switch (change) {
    case 'joined':
      return members.add(userId);
    case 'left':
    case 'removed':
      return members.delete(userId);
    case 'roleChanged':
    case 'blocked':
    case 'unblocked':
      return members;
    default:
      return assertNever(change);
  }
}

/** Whose cursors the event shows them; packed ones of what was delivered are shown to nobody. */
function concerned(event: MessageDelivered | MessageRead, members: Set<UserId>): readonly UserId[] {
  if (event.type === 'MessageRead') return readCursorsOf(event, members).map(({ userId }) => userId);
  return event.packed === undefined ? event.cursors.map(({ userId }) => userId) : [];
}

/**
 * Who receives an event live: exactly those who were members at its seq (PROTOCOL.md section 3). A joiner
 * gets their own joining; whoever left or was removed gets that, and nothing after it. Receipts of large
 * groups go only to those whose cursors they carry; `seenBy` says what each of them sees of it.
 */
export function receivers(before: Audience | undefined, after: Audience, { event }: Recorded): Set<UserId> {
  switch (event.type) {
    case 'MembershipChanged':
      // The audience before still holds whoever left or was removed; one that is unknown holds nobody more.
      return event.change === 'left' || event.change === 'removed'
        ? (before ?? after).members
        : after.members;
    case 'MessageDelivered':
    case 'MessageRead':
      if (event.audience === 'everyone') return after.members;
      return Set(concerned(event, after.members)).intersect(after.members);
    case 'ConversationStarted':
    case 'ConversationChanged':
    case 'MessageSent':
    case 'MessageEdited':
    case 'MessageDeleted':
    case 'ReactionChanged':
      return after.members;
    default:
      return assertNever(event);
  }
}

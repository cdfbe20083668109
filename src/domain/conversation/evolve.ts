import { List, Map, OrderedMap } from 'immutable';
import { assertNever } from '../../kernel/assert-never';
import type { Seq, UserId } from '../../kernel/ids';
import { BoundedMap } from './bounded-map';
import { depart, remember, returningBirth } from './dedupe';
import { withDeleted } from './deleted-ranges';
import type {
  ConversationEvent,
  ConversationStarted,
  MembershipChanged,
  MessageDelivered,
  MessageEdited,
  MessageRead,
  MessageSent,
  ReactionChanged,
  Recorded,
  Role,
} from './events';
import { fingerprintOf } from './fingerprint';
import { RecentMessages } from './recent-messages';
import { deliveredKey, reactionKey } from './keys';
import { deliveredCursorsOf, readCursorsOf } from './packed-cursors';
import { DEFAULT_SETTINGS, withSettings } from './settings';
import { STATE_LIMITS, type ConversationState, type Member, type StateLimits } from './state';

export type Evolve = (state: ConversationState | undefined, recorded: Recorded) => ConversationState;

/**
 * The state after one more event. Total over the events, and it costs the change, not the group.
 *
 * @throws Error when the event is not the next one of the stream: the caller lost or repeated one, and going
 * on would hand out wrong ordinals and wrong memberships without anybody noticing.
 */
export const evolve: Evolve = evolveWithin(STATE_LIMITS);

/** {@link evolve} with other bounds on what is remembered; specs reach the bounds with small ones. */
export function evolveWithin(limits: StateLimits): Evolve {
  return (state, recorded) => {
    const { event } = recorded;
    if (event.type === 'ConversationStarted') {
      if (state !== undefined || recorded.seq !== 0)
        throw outOfPlace(recorded, 'an event that only begins a stream');
      return started(recorded as Recorded<ConversationStarted>, limits);
    }
    if (state === undefined) throw outOfPlace(recorded, 'no event to begin a stream with');
    if (recorded.seq !== state.head + 1) throw outOfPlace(recorded, `not the one after ${state.head}`);
    return { ...state, ...changeBy(state, event, recorded, limits), head: recorded.seq };
  };
}

function outOfPlace({ conversationId, seq, event }: Recorded, why: string): Error {
  return new Error(`${event.type} at ${seq} of conversation ${conversationId} is ${why}`);
}

function changeBy(
  state: ConversationState,
  event: Exclude<ConversationEvent, ConversationStarted>,
  recorded: Recorded,
  limits: StateLimits,
): Partial<ConversationState> {
  switch (event.type) {
    case 'ConversationChanged':
      return {
        title: event.title ?? state.title,
        description: event.description ?? state.description,
        avatarFileId: event.avatarFileId ?? state.avatarFileId,
        settings: withSettings(state.settings, event.settings),
      };
    case 'MembershipChanged':
      return membershipChanged(state, event, recorded, limits);
    case 'MessageSent':
      return messageSent(state, event, recorded, limits);
    case 'MessageEdited':
      return messageEdited(state, event);
    case 'MessageDeleted':
      return { deleted: withDeleted(state.deleted, event.target, limits.deletedRanges) };
    case 'ReactionChanged':
      return reactionChanged(state, event);
    case 'MessageDelivered':
      return messageDelivered(state, event);
    case 'MessageRead':
      return messageRead(state, event);
    default:
      return assertNever(event);
  }
}

function started(
  { conversationId, seq, at, event }: Recorded<ConversationStarted>,
  limits: StateLimits,
): ConversationState {
  const roleOf = (userId: UserId): Role =>
    event.kind === 'group' && userId === event.by ? 'owner' : 'member';
  const member = (userId: UserId): Member => ({
    role: roleOf(userId),
    joinedSeq: seq,
    joinedAt: at,
    readUpTo: -1,
    deliveredUpTo: -1,
    droppedBirth: -1,
  });
  return {
    conversationId,
    kind: event.kind,
    title: event.title,
    description: undefined,
    avatarFileId: undefined,
    settings: withSettings(DEFAULT_SETTINGS, event.settings),
    createdAt: at,
    startedBy: event.by,
    startedAs: fingerprintOf(event),
    head: seq,
    lastOrdinal: 0,
    members: Map(event.memberIds.map((userId) => [userId, member(userId)])),
    departed: OrderedMap(),
    blockers: Map(),
    delivered: BoundedMap.empty(limits.deliveredDevices),
    recent: RecentMessages.of([]),
    droppedUpTo: -1,
    departedBirth: -1,
    deleted: List(),
    versions: BoundedMap.empty(limits.versions),
    versionFloor: 1,
    reactions: BoundedMap.empty(limits.reactions),
  };
}

function membershipChanged(
  state: ConversationState,
  event: MembershipChanged,
  { seq, at }: Recorded,
  limits: StateLimits,
): Partial<ConversationState> {
  const { userId, change } = event;
  const member = state.members.get(userId);
  switch (change) {
    case 'joined': {
      const droppedBirth = returningBirth(state, userId);
      const role = event.role ?? 'member';
      return {
        members: state.members.set(userId, {
          role,
          joinedSeq: seq,
          joinedAt: at,
          readUpTo: -1,
          deliveredUpTo: -1,
          droppedBirth,
        }),
        departed: state.departed.delete(userId),
      };
    }
    case 'left':
    case 'removed':
      if (member === undefined) return {};
      return { members: state.members.delete(userId), ...depart(state, userId, member.droppedBirth, limits) };
    case 'roleChanged':
      if (member === undefined) return {};
      return { members: state.members.set(userId, { ...member, role: event.role ?? member.role }) };
    case 'blocked':
      return { blockers: state.blockers.set(event.by, true) };
    case 'unblocked':
      return { blockers: state.blockers.delete(event.by) };
    default:
      return assertNever(change);
  }
}

function messageSent(
  state: ConversationState,
  event: MessageSent,
  { seq, at }: Recorded,
  limits: StateLimits,
): Partial<ConversationState> {
  const { by, clientMessageId, messageId, ordinal, contentHash } = event;
  const remembered = remember(
    state,
    { by, clientMessageId, messageId, seq, ordinal, at, contentHash },
    limits,
  );
  // Whoever sends has read what came before: sending moves one's own read cursor.
  const members = advanceRead(remembered.members, by, seq);
  return { ...remembered, members, lastOrdinal: ordinal };
}

function messageEdited(state: ConversationState, event: MessageEdited): Partial<ConversationState> {
  const { map, evicted } = state.versions.set(event.target, event.version);
  if (evicted === undefined) return { versions: map };
  return { versions: map, versionFloor: Math.max(state.versionFloor, evicted[1]) };
}

function reactionChanged(state: ConversationState, event: ReactionChanged): Partial<ConversationState> {
  const key = reactionKey(event.target, event.by, event.emoji);
  return { reactions: state.reactions.set(key, event.change === 'added').map };
}

function messageDelivered(state: ConversationState, event: MessageDelivered): Partial<ConversationState> {
  let { delivered } = state;
  const members = state.members.asMutable();
  for (const { userId, deviceId, upTo } of deliveredCursorsOf(event, state.members.keys())) {
    const key = deliveredKey(userId, deviceId);
    const known = delivered.get(key) ?? -1;
    if (upTo > known) delivered = delivered.set(key, upTo).map;
    const member = members.get(userId);
    if (member !== undefined && member.deliveredUpTo < upTo) {
      members.set(userId, { ...member, deliveredUpTo: upTo });
    }
  }
  return { delivered, members: members.asImmutable() };
}

function messageRead(state: ConversationState, event: MessageRead): Partial<ConversationState> {
  return {
    members: state.members.withMutations((members) => {
      for (const { userId, upTo } of readCursorsOf(event, state.members.keys())) {
        advanceRead(members, userId, upTo);
      }
    }),
  };
}

/** Read cursors only move forward; those of people who are no members are nobody's. */
function advanceRead(members: Map<UserId, Member>, userId: UserId, upTo: Seq): Map<UserId, Member> {
  const member = members.get(userId);
  if (member === undefined || member.readUpTo >= upTo) return members;
  return members.set(userId, { ...member, readUpTo: upTo });
}

import type { DeviceId, Seq, UserId } from '../../kernel/ids';
import type { RecordDelivered, RecordRead } from './commands';
import type { Decision } from './decision';
import type { DeliveredCursor, ReadCursor } from './events';
import { deliveredKey } from './keys';
import { deviceAliasOf, deviceTagOf, pack, uniqueTags, userTagOf, type PackedEntry } from './packed-cursors';
import { accept, NO_SUCH_CONVERSATION, UNCHANGED } from './refusals';
import { RECEIPTS_BROADCAST_MEMBERS_MAX, type ConversationState } from './state';

/**
 * Receipts are gathered from many people, so that one bad cursor must not spoil the others': whatever is not
 * a member's, does not advance, or lies beyond the head is left out. The event is `by` the first of those
 * whose cursors it carries: nobody but a member ever makes an event.
 */
export function recordDelivered(command: RecordDelivered, state: ConversationState | undefined): Decision {
  if (state === undefined) return NO_SUCH_CONVERSATION;
  const cursors = advancing(command.cursors, state, {
    keyOf: ({ userId, deviceId }) => deliveredKey(userId, deviceId),
    known: ({ userId, deviceId }) => deliveredUpTo(state, userId, deviceId),
  });
  const [first] = cursors;
  if (first === undefined) return UNCHANGED;
  const by = first.userId;
  if (isSmall(state)) return accept({ type: 'MessageDelivered', by, cursors, audience: 'everyone' });
  const device = ({ deviceId }: DeliveredCursor): Pick<PackedEntry, 'device'> => ({
    device: deviceTagOf(deviceId),
  });
  return accept({ type: 'MessageDelivered', by, audience: 'concerned', ...packedOf(cursors, state, device) });
}

/** See {@link recordDelivered}. */
export function recordRead(command: RecordRead, state: ConversationState | undefined): Decision {
  if (state === undefined) return NO_SUCH_CONVERSATION;
  const cursors = advancing<ReadCursor>(command.cursors, state, {
    keyOf: ({ userId }) => userId,
    known: ({ userId }) => state.members.get(userId)?.readUpTo ?? -1,
  });
  const [first] = cursors;
  if (first === undefined) return UNCHANGED;
  const by = first.userId;
  if (isSmall(state)) return accept({ type: 'MessageRead', by, cursors, audience: 'everyone' });
  return accept({ type: 'MessageRead', by, audience: 'concerned', ...packedOf(cursors, state, () => ({})) });
}

/** How far this device is known to have got, under its own name or, from packed cursors, under its alias. */
export function deliveredUpTo(state: ConversationState, userId: UserId, deviceId: DeviceId): Seq | -1 {
  const named = state.delivered.get(deliveredKey(userId, deviceId)) ?? -1;
  const packed = state.delivered.get(deliveredKey(userId, deviceAliasOf(deviceTagOf(deviceId)))) ?? -1;
  return named > packed ? named : packed;
}

const isSmall = (state: ConversationState): boolean => state.members.size <= RECEIPTS_BROADCAST_MEMBERS_MAX;

/** Whoever shares a tag with another member stays in full: which of the two it was must never be a guess. */
function packedOf<Cursor extends ReadCursor | DeliveredCursor>(
  cursors: readonly Cursor[],
  state: ConversationState,
  more: (cursor: Cursor) => Pick<PackedEntry, 'device'>,
): { readonly cursors: readonly Cursor[]; readonly packed: string } {
  const tags = uniqueTags(state.members.keys());
  const inFull: Cursor[] = [];
  const entries: PackedEntry[] = [];
  for (const cursor of cursors) {
    const user = userTagOf(cursor.userId);
    if (user === undefined || !tags.has(user)) inFull.push(cursor);
    else entries.push({ user, upTo: cursor.upTo, ...more(cursor) });
  }
  return { cursors: inFull, packed: pack(entries) };
}

/** The furthest cursor of each key that moves it on, in the order in which the keys first came. */
function advancing<Cursor extends ReadCursor | DeliveredCursor>(
  cursors: readonly Cursor[],
  state: ConversationState,
  by: { keyOf(cursor: Cursor): string; known(cursor: Cursor): Seq | -1 },
): Cursor[] {
  const furthest = new Map<string, Cursor>();
  for (const cursor of cursors) {
    if (!isOfMember(cursor.userId, cursor.upTo, state)) continue;
    const key = by.keyOf(cursor);
    if (cursor.upTo > (furthest.get(key)?.upTo ?? by.known(cursor))) furthest.set(key, cursor);
  }
  return [...furthest.values()];
}

/**
 * Up to the head, and not before the member's joining: the cursors of an earlier membership have been further
 * than anything before it, and a cursor never goes back.
 */
function isOfMember(userId: UserId, upTo: Seq, state: ConversationState): boolean {
  const member = state.members.get(userId);
  return member !== undefined && upTo >= member.joinedSeq && upTo <= state.head;
}

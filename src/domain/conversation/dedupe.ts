import type { Seq, UserId } from '../../kernel/ids';
import { birthOf } from '../../kernel/uuid';
import type { IndexAnswer, LookupRequest, SendMessage, StoredMessage } from './commands';
import type { Member, ConversationState, RecentMessage, StateLimits } from './state';

/**
 * Sent twice, stored once, without asking anybody (docs/adr/0005).
 *
 * The state keeps the newest messages' keys, the window. A key in it is known. A key that is not in it is new
 * if it cannot be among those that have left the window, and that is so when
 *   - nothing has ever left the window, or
 *   - the key is a UUIDv7 born after every UUIDv7 of the same sender that has left it (`droppedBirth`).
 * Births are compared with births of the same sender only, never with a clock of ours: whatever a device's
 * clock says, a key that left the window was born at or before `droppedBirth`, so a key born later is not one
 * of them. A device whose clock runs ahead, or lies, costs only its own user look-ups. Every other key is
 * looked up in the permanent index, once; `IndexAnswer.asOf` makes its answer good until something that came
 * after it leaves the window.
 */
export type Recollection =
  | { readonly kind: 'new' }
  | { readonly kind: 'stored'; readonly message: StoredMessage }
  | { readonly kind: 'unknown'; readonly request: LookupRequest };

/** Whether the sender's key is new, stored, or beyond what the state can know. */
export function recall(state: ConversationState, sender: Member, command: SendMessage): Recollection {
  const recent = state.recent.find(command.by, command.clientMessageId);
  if (recent !== undefined) return { kind: 'stored', message: storedMessage(recent) };
  if (state.droppedUpTo === -1) return { kind: 'new' };
  const birth = birthOf(command.clientMessageId);
  if (birth !== undefined && birth > sender.droppedBirth) return { kind: 'new' };
  if (command.index !== undefined) {
    if (command.index.found !== undefined) return { kind: 'stored', message: command.index.found };
    if (coversDropped(command.index, state.droppedUpTo)) return { kind: 'new' };
  }
  return { kind: 'unknown', request: lookupRequest(state, command) };
}

/**
 * True while all that was appended after the look-up is still in the window, which has just been searched.
 */
const coversDropped = (index: IndexAnswer, droppedUpTo: Seq | -1): boolean => droppedUpTo <= index.asOf;

function lookupRequest(state: ConversationState, command: SendMessage): LookupRequest {
  const { oldest } = state.recent;
  return {
    by: command.by,
    clientMessageId: command.clientMessageId,
    after: oldest === undefined ? undefined : { by: oldest.by, clientMessageId: oldest.clientMessageId },
    asOf: state.head,
  };
}

const storedMessage = ({ messageId, seq, ordinal, at, contentHash }: RecentMessage): StoredMessage => ({
  messageId,
  seq,
  ordinal,
  at,
  contentHash,
});

type Window = Pick<ConversationState, 'recent' | 'droppedUpTo' | 'members' | 'departed' | 'departedBirth'>;

/** The window with one message more; when it overflows, its oldest entry leaves its birth behind. */
export function remember(state: Window, entry: RecentMessage, limits: StateLimits): Window {
  const { recent, left } = state.recent.add(entry, limits.dedupeWindow);
  if (left === undefined) return { ...pick(state), recent };
  return { ...raiseBirth(state, left.by, birthOf(left.clientMessageId)), recent, droppedUpTo: left.seq };
}

const pick = ({ recent, droppedUpTo, members, departed, departedBirth }: Window): Window => ({
  recent,
  droppedUpTo,
  members,
  departed,
  departedBirth,
});

/**
 * The sender may be a member, may have left, or may have left so long ago that only the common
 * `departedBirth` can speak for them. Keys that are no UUIDv7 leave nothing: they are always looked up.
 */
function raiseBirth(state: Window, by: UserId, birth: number | undefined): Window {
  const window = pick(state);
  if (birth === undefined) return window;
  const member = state.members.get(by);
  if (member !== undefined) {
    if (birth <= member.droppedBirth) return window;
    return { ...window, members: state.members.set(by, { ...member, droppedBirth: birth }) };
  }
  const departed = state.departed.get(by);
  if (departed !== undefined) {
    if (birth <= departed) return window;
    return { ...window, departed: state.departed.set(by, birth) };
  }
  return { ...window, departedBirth: Math.max(state.departedBirth, birth) };
}

/**
 * Remembers who left. When too many have, the first of them is known by `departedBirth` alone from then on.
 */
export function depart(
  state: Pick<ConversationState, 'departed' | 'departedBirth'>,
  userId: UserId,
  droppedBirth: number,
  limits: StateLimits,
): Pick<ConversationState, 'departed' | 'departedBirth'> {
  const departed = state.departed.set(userId, droppedBirth);
  if (departed.size <= limits.departed) return { departed, departedBirth: state.departedBirth };
  const [oldest, birth] = departed.entrySeq().first() as [UserId, number];
  return {
    departed: departed.delete(oldest),
    departedBirth: Math.max(state.departedBirth, birth),
  };
}

/** What a joiner's `droppedBirth` begins with: their own from before, else that of all who are forgotten. */
export const returningBirth = (
  state: Pick<ConversationState, 'departed' | 'departedBirth'>,
  userId: UserId,
): number => state.departed.get(userId) ?? state.departedBirth;

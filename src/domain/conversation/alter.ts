import { asUserId, type Millis } from '../../kernel/ids';
import type { DeleteMessage, EditMessage, ExpireMessage, SetReaction, TargetMessage } from './commands';
import type { Decision } from './decision';
import { isDeleted } from './deleted-ranges';
import { reactionKey } from './keys';
import { may } from './permissions';
import {
  accept,
  isDecision,
  NO_SUCH_MESSAGE,
  refuse,
  standingOf,
  UNCHANGED,
  type Standing,
} from './refusals';
import { BLOCKED } from './send';
import type { ConversationState } from './state';

/** Who deletes what has expired: nobody's id, and no member of anything. */
export const THE_SERVER = asUserId('00000000-0000-0000-0000-000000000000');

const DELETED = refuse('conflict', 'This message has been deleted.');

/**
 * The sender's own message, within the window, with whatever content: the last edit wins by its `version`.
 */
export function editMessage(command: EditMessage, state: ConversationState | undefined): Decision {
  const standing = standingOf(command.by, state);
  if (isDecision(standing)) return standing;
  const message = visible(command.message, standing, command.by);
  if (message === undefined) return NO_SUCH_MESSAGE;
  if (!may(message.by === command.by ? 'editOwn' : 'editOthers', standing.member, standing.state)) {
    return refuse('forbidden', 'You may edit only your own messages.');
  }
  if (isGone(message, standing.state, command.at)) return DELETED;
  if (standing.state.blockers.size > 0) return BLOCKED;
  if (command.at - message.at > command.editWindowMs) {
    return refuse('edit_window_closed', 'This message can no longer be edited.');
  }
  const { by, target, content } = command;
  const version = (standing.state.versions.get(target) ?? standing.state.versionFloor) + 1;
  return accept({ type: 'MessageEdited', by, target, content, version });
}

/** For everyone. Blocking does not stop it: taking something back reaches nobody. */
export function deleteMessage(command: DeleteMessage, state: ConversationState | undefined): Decision {
  const standing = standingOf(command.by, state);
  if (isDecision(standing)) return standing;
  const message = visible(command.message, standing, command.by);
  if (message === undefined) return NO_SUCH_MESSAGE;
  if (!may(message.by === command.by ? 'deleteOwn' : 'deleteOthers', standing.member, standing.state)) {
    return refuse('forbidden', 'You may not delete this message for everyone.');
  }
  if (isDeleted(standing.state.deleted, message.seq)) return UNCHANGED;
  return accept({ type: 'MessageDeleted', by: command.by, target: command.target });
}

/**
 * What is over is deleted like anything else, so that every count and every device follows. By nobody's hand: it happens
 * whoever is a member then, and whatever they block.
 */
export function expireMessage(command: ExpireMessage, state: ConversationState | undefined): Decision {
  const { message, target, at } = command;
  if (state === undefined || message === undefined) return NO_SUCH_MESSAGE;
  if (isDeleted(state.deleted, message.seq)) return UNCHANGED;
  if (!hasExpired(message, at)) return refuse('conflict', 'This message is not to disappear, or not yet.');
  return accept({ type: 'MessageDeleted', by: THE_SERVER, target });
}

/**
 * Sets or takes back one reaction. What the state no longer remembers is recorded again: read models keep
 * reactions as sets, so that a repetition changes nothing there.
 */
export function setReaction(command: SetReaction, state: ConversationState | undefined): Decision {
  const standing = standingOf(command.by, state);
  if (isDecision(standing)) return standing;
  const message = visible(command.message, standing, command.by);
  if (message === undefined) return NO_SUCH_MESSAGE;
  if (isGone(message, standing.state, command.at)) return DELETED;
  const { by, target, emoji, on } = command;
  if (standing.state.reactions.get(reactionKey(target, by, emoji)) === on) return UNCHANGED;
  if (on && standing.state.blockers.size > 0) return BLOCKED;
  return accept({ type: 'ReactionChanged', by, target, emoji, change: on ? 'added' : 'removed' });
}

const hasExpired = ({ expiresAt }: TargetMessage, at: Millis): boolean =>
  expiresAt !== undefined && expiresAt <= at;

/** Deleted, or about to be: whoever sweeps up comes a little later. */
const isGone = (message: TargetMessage, state: ConversationState, at: Millis): boolean =>
  isDeleted(state.deleted, message.seq) || hasExpired(message, at);

/**
 * The message, if the member may see it; else it is for them as if there were none. What one has said oneself
 * one has seen. Of earlier memberships the state knows nothing: others' messages from then cannot be acted
 * on.
 */
function visible(
  message: TargetMessage | undefined,
  { state, member }: Standing,
  by: TargetMessage['by'],
): TargetMessage | undefined {
  if (message === undefined || message.seq > state.head) return undefined;
  const seen = message.seq >= member.joinedSeq || message.by === by;
  return seen || state.settings.historyVisibility === 'shared' ? message : undefined;
}

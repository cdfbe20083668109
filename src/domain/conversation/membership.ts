import type { UserId } from '../../kernel/ids';
import type { AddMembers, ChangeRole, LeaveConversation, RemoveMember, SetBlock } from './commands';
import type { Decision } from './decision';
import type { MembershipChanged, Role } from './events';
import { membersMaxOf, tooManyAtOnce, tooManyMembers } from './group-size';
import { may, type PermissionName } from './permissions';
import { accept, isDecision, refuse, standingOf, UNCHANGED } from './refusals';
import type { ConversationState, Member } from './state';

const INVITE: Readonly<Record<Role, PermissionName>> = {
  member: 'invite',
  admin: 'inviteAdmin',
  owner: 'inviteOwner',
};
const REMOVE: Readonly<Record<Role, PermissionName>> = {
  member: 'removeMember',
  admin: 'removeAdmin',
  owner: 'removeOwner',
};

/** Those who are members already stay as they are, whatever role the command names. */
export function addMembers(command: AddMembers, state: ConversationState | undefined): Decision {
  const standing = standingOf(command.by, state);
  if (isDecision(standing)) return standing;
  const role = command.role ?? 'member';
  if (!may(INVITE[role], standing.member, standing.state)) {
    return refuse('forbidden', `You may not add people to this conversation as ${role}.`);
  }
  const { members } = standing.state;
  const joiners = [...new Set(command.userIds)].filter((userId) => !members.has(userId));
  // Before the size: a group that is larger than a limit set since may still be told of those it has.
  if (joiners.length === 0) return UNCHANGED;
  const membersMax = membersMaxOf(command);
  if (members.size + joiners.length > membersMax) return tooManyMembers(membersMax, 'userIds');
  const refused = tooManyAtOnce(joiners.length, 'userIds');
  if (refused !== undefined) return refused;
  return accept(...joiners.map((userId) => membership(command.by, userId, 'joined', role)));
}

/** Removing oneself is leaving. Removing somebody a second time changes nothing. */
export function removeMember(command: RemoveMember, state: ConversationState | undefined): Decision {
  const { conversationId, by, at, userId } = command;
  if (userId === by) return leaveConversation({ type: 'LeaveConversation', conversationId, by, at }, state);
  const standing = standingOf(by, state);
  if (isDecision(standing)) return standing;
  const target = standing.state.members.get(userId);
  const role = target?.role ?? 'member';
  if (!may(REMOVE[role], standing.member, standing.state)) {
    return refuse('forbidden', `You may not remove this conversation's ${role}.`);
  }
  if (target !== undefined) return accept(membership(by, userId, 'removed'));
  return standing.state.departed.has(userId) ? UNCHANGED : notAMember('userId');
}

/**
 * A conversation never stays without an owner: an owner who leaves passes it on first, to the admin who has
 * been here longest, else to the member who has. Leaving a second time changes nothing.
 */
export function leaveConversation(
  command: LeaveConversation,
  state: ConversationState | undefined,
): Decision {
  const { by } = command;
  if (state?.departed.has(by) === true) return UNCHANGED;
  const standing = standingOf(by, state);
  if (isDecision(standing)) return standing;
  if (!may('leave', standing.member, standing.state)) {
    return refuse('forbidden', 'A direct conversation cannot be left.');
  }
  const left = membership(by, by, 'left');
  const heir = standing.member.role === 'owner' ? heirOf(standing.state, by) : undefined;
  return heir === undefined ? accept(left) : accept(membership(by, heir, 'roleChanged', 'owner'), left);
}

/**
 * Looks at every member, once in the life of an owner. Equal times are settled by id, on every node alike.
 */
function heirOf(state: ConversationState, owner: UserId): UserId | undefined {
  let heir: readonly [UserId, Member] | undefined;
  for (const candidate of state.members) {
    if (candidate[0] === owner) continue;
    if (heir === undefined || comesBefore(candidate, heir)) heir = candidate;
  }
  return heir?.[0];
}

function comesBefore([idA, a]: readonly [UserId, Member], [idB, b]: readonly [UserId, Member]): boolean {
  if (a.role !== b.role) return a.role === 'admin';
  if (a.joinedSeq !== b.joinedSeq) return a.joinedSeq < b.joinedSeq;
  return idA < idB;
}

/** Naming another owner makes the former one an admin, in the same append: there is always exactly one. */
export function changeRole(command: ChangeRole, state: ConversationState | undefined): Decision {
  const { by, userId, role } = command;
  const standing = standingOf(by, state);
  if (isDecision(standing)) return standing;
  const target = standing.state.members.get(userId);
  // Before the permission: an owner who repeats passing the conversation on is one no longer.
  if (target?.role === role) return UNCHANGED;
  if (!may('changeRole', standing.member, standing.state)) {
    return refuse('forbidden', 'You may not change roles in this conversation.');
  }
  if (target === undefined) return notAMember('userId');
  if (userId === by) {
    return refuse('conflict', 'A conversation needs an owner: make somebody else its owner first.', 'role');
  }
  const changed = membership(by, userId, 'roleChanged', role);
  return role === 'owner' ? accept(changed, membership(by, by, 'roleChanged', 'admin')) : accept(changed);
}

export function setBlock(command: SetBlock, state: ConversationState | undefined): Decision {
  const { by, on } = command;
  const standing = standingOf(by, state);
  if (isDecision(standing)) return standing;
  if (!may('block', standing.member, standing.state)) {
    return refuse('forbidden', 'Only in a direct conversation can one block the other.');
  }
  if (standing.state.blockers.has(by) === on) return UNCHANGED;
  const other = standing.state.members.keySeq().find((userId) => userId !== by) ?? by;
  return accept(membership(by, other, on ? 'blocked' : 'unblocked'));
}

const notAMember = (field: string): Decision =>
  refuse('not_a_member', 'This person is not a member of the conversation.', field);

const membership = (
  by: UserId,
  userId: UserId,
  change: MembershipChanged['change'],
  role?: Role,
): MembershipChanged => ({
  type: 'MembershipChanged',
  by,
  userId,
  change,
  ...(role === undefined ? {} : { role }),
});

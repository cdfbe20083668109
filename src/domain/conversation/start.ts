import type { UserId } from '../../kernel/ids';
import type { StartConversation } from './commands';
import type { Decision } from './decision';
import type { ConversationStarted } from './events';
import { fingerprintOf } from './fingerprint';
import { accept, refuse, UNCHANGED } from './refusals';
import { membersMaxOf, tooManyAtOnce, tooManyMembers } from './group-size';
import type { ConversationState } from './state';

/**
 * A direct conversation that exists is what was asked for. A group's id is chosen by its starter: the same
 * start again is a retry, another one under that id is a conflict.
 */
export function startConversation(
  command: StartConversation,
  state: ConversationState | undefined,
): Decision {
  const memberIds = [...new Set([command.by, ...command.memberIds])];
  const refusal =
    command.kind === 'direct' ? directProblem(command, memberIds) : groupProblem(command, memberIds);
  if (refusal !== undefined) return refusal;
  const event: ConversationStarted = {
    type: 'ConversationStarted',
    by: command.by,
    kind: command.kind,
    ...(command.title === undefined ? {} : { title: command.title }),
    memberIds,
    ...(command.settings === undefined ? {} : { settings: command.settings }),
  };
  return state === undefined ? accept(event) : startedBefore(event, state);
}

function directProblem(command: StartConversation, memberIds: readonly UserId[]): Decision | undefined {
  if (memberIds.length !== 2) {
    return refuse('invalid_input', 'A direct conversation needs exactly one other person.', 'memberIds');
  }
  if (command.title !== undefined) {
    return refuse('invalid_input', 'A direct conversation has no title.', 'title');
  }
  const settings = Object.keys(command.settings ?? {}).filter((name) => name !== 'disappearAfterSeconds');
  if (settings.length > 0) {
    return refuse(
      'invalid_input',
      'A direct conversation has no such setting.',
      `settings.${settings.join()}`,
    );
  }
  return undefined;
}

function groupProblem(command: StartConversation, memberIds: readonly UserId[]): Decision | undefined {
  return memberIds.length > membersMaxOf(command)
    ? tooManyMembers(membersMaxOf(command), 'memberIds')
    : // The starter is not one of those who are added.
      tooManyAtOnce(memberIds.length - 1, 'memberIds');
}

function startedBefore(event: ConversationStarted, state: ConversationState): Decision {
  const same =
    event.kind === 'direct'
      ? state.kind === 'direct' && event.memberIds.every((userId) => state.members.has(userId))
      : event.by === state.startedBy && fingerprintOf(event) === state.startedAs;
  return same ? UNCHANGED : refuse('conflict', 'This conversation id is taken.', 'conversationId');
}

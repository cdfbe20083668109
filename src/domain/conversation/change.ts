import type { ChangeConversation } from './commands';
import type { Decision } from './decision';
import type { ConversationChanged, ConversationSettings } from './events';
import { may } from './permissions';
import { accept, isDecision, refuse, standingOf, UNCHANGED } from './refusals';
import { sameSettings, withSettings } from './settings';
import type { ConversationState } from './state';

/** Title, description, picture, settings. Only what differs is recorded; nothing differing is no event. */
export function changeConversation(
  command: ChangeConversation,
  state: ConversationState | undefined,
): Decision {
  const standing = standingOf(command.by, state);
  if (isDecision(standing)) return standing;
  const permission = onlyDisappearing(command) ? 'changeDisappearing' : 'changeProfile';
  if (!may(permission, standing.member, standing.state)) {
    return refuse('forbidden', 'You may not change this conversation.');
  }
  const event = changedFrom(standing.state, command);
  return event === undefined ? UNCHANGED : accept(event);
}

function onlyDisappearing({ title, description, avatarFileId, settings }: ChangeConversation): boolean {
  if (title !== undefined || description !== undefined || avatarFileId !== undefined) return false;
  return Object.keys(settings ?? {}).every((name) => name === 'disappearAfterSeconds');
}

function changedFrom(state: ConversationState, command: ChangeConversation): ConversationChanged | undefined {
  const { title, description, avatarFileId } = command;
  const settings = changedSettings(state.settings, command.settings);
  const change = {
    ...(title === undefined || title === state.title ? {} : { title }),
    ...(description === undefined || description === state.description ? {} : { description }),
    ...(avatarFileId === undefined || avatarFileId === state.avatarFileId ? {} : { avatarFileId }),
    ...(settings === undefined ? {} : { settings }),
  };
  if (Object.keys(change).length === 0) return undefined;
  return { type: 'ConversationChanged', by: command.by, ...change };
}

/** All the settings that the command names, unless they already are so. */
function changedSettings(
  current: ConversationSettings,
  change: Partial<ConversationSettings> | undefined,
): Partial<ConversationSettings> | undefined {
  return sameSettings(current, withSettings(current, change)) ? undefined : change;
}

import type { ConversationSettings } from './events';

/** What a conversation has until somebody says otherwise. */
export const DEFAULT_SETTINGS: ConversationSettings = {
  historyVisibility: 'joined',
  whoMayInvite: 'admins',
  whoMayPost: 'everyone',
};

/**
 * The settings after a change: what the change does not name stays. `disappearAfterSeconds: 0` turns
 * disappearing off, because absence already means "as it was".
 */
export function withSettings(
  current: ConversationSettings,
  change: Partial<ConversationSettings> | undefined,
): ConversationSettings {
  if (change === undefined) return current;
  const { disappearAfterSeconds, ...rest } = { ...current, ...change };
  return disappearAfterSeconds === undefined || disappearAfterSeconds === 0
    ? rest
    : { ...rest, disappearAfterSeconds };
}

export const sameSettings = (a: ConversationSettings, b: ConversationSettings): boolean =>
  a.historyVisibility === b.historyVisibility &&
  a.disappearAfterSeconds === b.disappearAfterSeconds &&
  a.whoMayInvite === b.whoMayInvite &&
  a.whoMayPost === b.whoMayPost;

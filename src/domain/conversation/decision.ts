import type { ConversationEvent } from './events';
import type { LookupRequest, Refusal, StoredMessage } from './commands';

/** What the decider says to one command. */
export type Decision =
  | { readonly kind: 'accepted'; readonly events: readonly ConversationEvent[] }
  | { readonly kind: 'repeated'; readonly message: StoredMessage }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** The window cannot tell whether this key was used before: ask the permanent index, then decide again. */
  | { readonly kind: 'lookup'; readonly request: LookupRequest };

import type { RefusalCode, StoredMessage } from './commands';
import type { Decision } from './decision';
import type { ConversationEvent } from './events';
import type { UserId } from '../../kernel/ids';
import type { ConversationState, Member } from './state';

export const refuse = (code: RefusalCode, detail: string, field?: string): Decision => ({
  kind: 'refused',
  refusal: { code, detail, ...(field === undefined ? {} : { field }) },
});

export const accept = (...events: readonly ConversationEvent[]): Decision => ({ kind: 'accepted', events });

export const UNCHANGED: Decision = { kind: 'unchanged' };

export const repeat = (message: StoredMessage): Decision => ({ kind: 'repeated', message });

/** One answer for a conversation that is not there and for one that is somebody else's. */
export const NO_SUCH_CONVERSATION = refuse(
  'not_found',
  'There is no such conversation, or you are not a member of it.',
);

export const NO_SUCH_MESSAGE = refuse('not_found', 'There is no such message in this conversation.');

const NO_LONGER_A_MEMBER = refuse('not_a_member', 'You are no longer a member of this conversation.');

/** A member's view of a conversation: what every command but the first begins with. */
export interface Standing {
  readonly state: ConversationState;
  readonly member: Member;
}

/**
 * Who acts on a conversation must be a member. A stranger hears what somebody hears who made the id up, so
 * that existence is not leaked (PROTOCOL.md section 4). Those who were members until lately know that it
 * exists, and are told what happened; when more than DEPARTED_MAX have left since, they too are strangers.
 */
export function standingOf(by: UserId, state: ConversationState | undefined): Standing | Decision {
  const member = state?.members.get(by);
  if (state !== undefined && member !== undefined) return { state, member };
  return state?.departed.has(by) === true ? NO_LONGER_A_MEMBER : NO_SUCH_CONVERSATION;
}

export const isDecision = (value: Standing | Decision): value is Decision => 'kind' in value;

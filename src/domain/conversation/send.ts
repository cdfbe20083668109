import { asMillis, asOrdinal, toIso } from '../../kernel/ids';
import type { SendMessage } from './commands';
import type { Decision } from './decision';
import { recall } from './dedupe';
import type { MessageSent } from './events';
import { may } from './permissions';
import { accept, isDecision, refuse, repeat, standingOf } from './refusals';
import type { ConversationState } from './state';

export const BLOCKED = refuse('blocked', 'One of you has blocked the other.');

/**
 * What is already stored is answered before anything else is asked: a device that lost our acknowledgement
 * must get it, also when meanwhile its user was blocked or may no longer post.
 */
export function sendMessage(command: SendMessage, state: ConversationState | undefined): Decision {
  const standing = standingOf(command.by, state);
  if (isDecision(standing)) return standing;
  const recollection = recall(standing.state, standing.member, command);
  if (recollection.kind === 'stored') {
    return recollection.message.contentHash === command.contentHash
      ? repeat(recollection.message)
      : refuse(
          'client_message_id_reused',
          'This clientMessageId already names a message with other content.',
          'clientMessageId',
        );
  }
  if (recollection.kind === 'unknown') return { kind: 'lookup', request: recollection.request };
  if (standing.state.blockers.size > 0) return BLOCKED;
  if (!may('post', standing.member, standing.state)) {
    return refuse('forbidden', 'You may not send messages in this conversation.');
  }
  return referenceProblem(command, standing.state) ?? accept(sent(command, standing.state));
}

/**
 * What a message points to must exist. That it is a message is not asked: state does not know, and no harm.
 */
function referenceProblem(command: SendMessage, state: ConversationState): Decision | undefined {
  for (const field of ['replyTo', 'threadOf'] as const) {
    const seq = command[field];
    if (seq !== undefined && (seq > state.head || seq < 0)) {
      return refuse('invalid_input', 'There is nothing at this seq yet.', field);
    }
  }
  if (command.mentions?.some((userId) => !state.members.has(userId)) === true) {
    return refuse('invalid_input', 'Only members of the conversation can be mentioned.', 'mentions');
  }
  return undefined;
}

function sent(command: SendMessage, state: ConversationState): MessageSent {
  const { by, clientMessageId, messageId, content, contentHash } = command;
  const { replyTo, threadOf, forwardedFrom, mentions, originalAt } = command;
  const { disappearAfterSeconds } = state.settings;
  return {
    type: 'MessageSent',
    // In the order of canonical JSON: what most messages have need not be sorted to be hashed.
    by,
    clientMessageId,
    content,
    contentHash,
    messageId,
    ordinal: asOrdinal(state.lastOrdinal + 1),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(threadOf === undefined ? {} : { threadOf }),
    ...(forwardedFrom === undefined ? {} : { forwardedFrom }),
    ...(mentions === undefined ? {} : { mentions }),
    ...(disappearAfterSeconds === undefined
      ? {}
      : { expiresAt: toIso(asMillis(command.at + disappearAfterSeconds * 1_000)) }),
    ...(originalAt === undefined ? {} : { originalAt }),
  };
}

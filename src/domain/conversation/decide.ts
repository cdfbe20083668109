import { assertNever } from '../../kernel/assert-never';
import type { Decider } from '../../kernel/decider';
import { deleteMessage, editMessage, expireMessage, setReaction } from './alter';
import { changeConversation } from './change';
import type { ConversationCommand } from './commands';
import type { Decision } from './decision';
import type { Recorded } from './events';
import { evolve } from './evolve';
import { addMembers, changeRole, leaveConversation, removeMember, setBlock } from './membership';
import { recordDelivered, recordRead } from './receipts';
import { sendMessage } from './send';
import { startConversation } from './start';
import type { ConversationState } from './state';

/**
 * What becomes of a command in a conversation as it is; `undefined`: there is none yet. Pure, and never
 * throws for what a caller did wrong. Sending any command twice changes nothing the second time, except that
 * an edit raises the version of a message to the same content.
 */
export function decide(command: ConversationCommand, state: ConversationState | undefined): Decision {
  switch (command.type) {
    case 'StartConversation':
      return startConversation(command, state);
    case 'ChangeConversation':
      return changeConversation(command, state);
    case 'AddMembers':
      return addMembers(command, state);
    case 'RemoveMember':
      return removeMember(command, state);
    case 'LeaveConversation':
      return leaveConversation(command, state);
    case 'ChangeRole':
      return changeRole(command, state);
    case 'SetBlock':
      return setBlock(command, state);
    case 'SendMessage':
      return sendMessage(command, state);
    case 'EditMessage':
      return editMessage(command, state);
    case 'DeleteMessage':
      return deleteMessage(command, state);
    case 'ExpireMessage':
      return expireMessage(command, state);
    case 'SetReaction':
      return setReaction(command, state);
    case 'RecordDelivered':
      return recordDelivered(command, state);
    case 'RecordRead':
      return recordRead(command, state);
    default:
      return assertNever(command);
  }
}

/** The write side of a conversation, in the shape of every decider. */
export const conversationDecider: Decider<
  ConversationCommand,
  ConversationState | undefined,
  Recorded,
  Decision
> = { initial: undefined, decide, evolve };

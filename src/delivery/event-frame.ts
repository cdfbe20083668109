import type { MessageSent, Recorded } from '../domain/conversation/events';
import { assertNever } from '../kernel/assert-never';
import { toIso } from '../kernel/ids';
import type { EventFrame } from '../protocol/events';

/**
 * The one mapping from a stored event to what a device sees (PROTOCOL.md section 2), for live pushes, `sync` and
 * `GET …/events` alike. What the log keeps for itself stays behind: a message's `contentHash` would let a member
 * guess at erased content, and a receipt's `audience` says nothing to a device.
 */
export function toEventFrame(recorded: Recorded): EventFrame {
  const { event } = recorded;
  const common = {
    conversationId: recorded.conversationId,
    seq: recorded.seq,
    at: toIso(recorded.at),
    by: event.by,
  };
  switch (event.type) {
    case 'ConversationStarted': {
      const { type: _type, memberIds, ...fields } = event;
      return { event: 'conversation.started', data: { ...common, ...fields, memberIds: [...memberIds] } };
    }
    case 'ConversationChanged': {
      const { type: _type, ...fields } = event;
      return { event: 'conversation.changed', data: { ...common, ...fields } };
    }
    case 'MembershipChanged': {
      const { type: _type, ...fields } = event;
      return { event: 'membership.changed', data: { ...common, ...fields } };
    }
    case 'MessageSent':
      return { event: 'message.sent', data: messageSent(common, event) };
    case 'MessageEdited': {
      const { target, content, version } = event;
      return { event: 'message.edited', data: { ...common, target, content, version } };
    }
    case 'MessageDeleted':
      return { event: 'message.deleted', data: { ...common, target: event.target } };
    case 'ReactionChanged': {
      const { target, emoji, change } = event;
      return { event: 'reaction.changed', data: { ...common, target, emoji, change } };
    }
    case 'MessageDelivered':
      return { event: 'message.delivered', data: { ...common, cursors: [...event.cursors] } };
    case 'MessageRead':
      return { event: 'message.read', data: { ...common, cursors: [...event.cursors] } };
    default:
      return assertNever(event);
  }
}

type Common = Pick<EventFrame['data'], 'conversationId' | 'seq' | 'at' | 'by'>;
type MessageSentData = Extract<EventFrame, { readonly event: 'message.sent' }>['data'];

/**
 * Field by field, because this is the hottest frame of all, and taking an object apart by "the rest" costs more than
 * everything else that is done with it. Few messages have any of the optional fields.
 */
function messageSent(common: Common, event: MessageSent): MessageSentData {
  const { messageId, clientMessageId, ordinal, content } = event;
  const data: MessageSentData = { ...common, messageId, clientMessageId, ordinal, content };
  const { replyTo, threadOf, forwardedFrom, mentions, expiresAt, originalAt } = event;
  if (replyTo !== undefined) data.replyTo = replyTo;
  if (threadOf !== undefined) data.threadOf = threadOf;
  if (forwardedFrom !== undefined) data.forwardedFrom = forwardedFrom;
  if (mentions !== undefined) data.mentions = [...mentions];
  if (expiresAt !== undefined) data.expiresAt = expiresAt;
  if (originalAt !== undefined) data.originalAt = originalAt;
  return data;
}

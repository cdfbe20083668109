import { toIso, type ClientMessageId, type ConversationId } from '../kernel/ids';
import type { MessageAckDto } from '../protocol/rest';
import type { Stored } from './outcomes';

/** The acknowledgement of a send that is in the log, now or since an earlier try. */
export function messageAck(
  conversationId: ConversationId,
  clientMessageId: ClientMessageId,
  stored: Stored,
): MessageAckDto {
  if (stored.kind === 'repeated') {
    const { messageId, seq, ordinal, at } = stored.message;
    return { conversationId, clientMessageId, messageId, seq, ordinal, at: toIso(at), duplicate: true };
  }
  const events = stored.kind === 'accepted' ? stored.events : [];
  for (const { event, seq, at } of events) {
    if (event.type !== 'MessageSent' || event.clientMessageId !== clientMessageId) continue;
    const { messageId, ordinal } = event;
    return { conversationId, clientMessageId, messageId, seq, ordinal, at: toIso(at), duplicate: false };
  }
  throw new Error('a send was accepted without a message');
}

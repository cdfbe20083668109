import { ignore, RowStatement, type Projection } from '../projection';

const addKey = new RowStatement(
  'dedupe.addKey',
  {
    conversation_id: 'uuid',
    sender_id: 'uuid',
    client_message_id: 'text',
    seq: 'bigint',
    ordinal: 'bigint',
    message_id: 'uuid',
    content_hash: 'text',
    sent_at: 'bigint',
  },
  (rows) => `
    INSERT INTO dedupe_messages (conversation_id, sender_id, client_message_id, seq, ordinal, message_id,
      content_hash, sent_at)
    SELECT r.conversation_id, r.sender_id, r.client_message_id, r.seq, r.ordinal, r.message_id,
      r.content_hash, r.sent_at
    FROM ${rows}
    ON CONFLICT DO NOTHING`,
);

/** The permanent index over (conversation, sender, clientMessageId) that sends ask about old keys (docs/adr/0005). */
export const dedupe: Projection = {
  name: 'dedupe/v1',
  tables: ['dedupe_messages'],
  statements: [addKey],
  on: {
    ConversationStarted: ignore,
    ConversationChanged: ignore,
    MembershipChanged: ignore,
    MessageSent: ({ conversationId, seq, at, event }) => [
      addKey.row({
        conversation_id: conversationId,
        sender_id: event.by,
        client_message_id: event.clientMessageId,
        seq,
        ordinal: event.ordinal,
        message_id: event.messageId,
        content_hash: event.contentHash,
        sent_at: at,
      }),
    ],
    MessageEdited: ignore,
    MessageDeleted: ignore,
    ReactionChanged: ignore,
    MessageDelivered: ignore,
    MessageRead: ignore,
  },
};

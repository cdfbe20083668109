import type { MessageSent, Recorded } from '../../src/domain/conversation/events';
import { ignore, RowStatement, type Projection, type Row } from '../projection';

const addMessage = new RowStatement(
  'history.addMessage',
  {
    conversation_id: 'uuid',
    seq: 'bigint',
    ordinal: 'bigint',
    message_id: 'uuid',
    client_message_id: 'text',
    sender_id: 'uuid',
    sent_at: 'bigint',
    content: 'jsonb',
    reply_to: 'bigint?',
    thread_of: 'bigint?',
    extra: 'jsonb?',
  },
  (rows) => `
    INSERT INTO history_messages (conversation_id, seq, ordinal, message_id, client_message_id, sender_id,
      sent_at, content, reply_to, thread_of, extra)
    SELECT r.conversation_id, r.seq, r.ordinal, r.message_id, r.client_message_id, r.sender_id,
      r.sent_at, r.content, r.reply_to, r.thread_of, r.extra
    FROM ${rows}
    ON CONFLICT DO NOTHING`,
  { copiesInto: 'history_messages' },
);

/** What was deleted stays empty, whatever is edited later. */
const addEdit = new RowStatement(
  'history.addEdit',
  {
    conversation_id: 'uuid',
    target: 'bigint',
    seq: 'bigint',
    at: 'bigint',
    version: 'integer',
    content: 'jsonb',
  },
  (rows) => `
    INSERT INTO history_edits (conversation_id, target, seq, version, edited_at, content)
    SELECT r.conversation_id, r.target, r.seq, r.version, r.at, CASE WHEN m.deleted_at IS NULL THEN r.content END
    FROM ${rows}
    JOIN history_messages m ON m.conversation_id = r.conversation_id AND m.seq = r.target
    ON CONFLICT DO NOTHING`,
);

/** The first deletion counts. */
const deleteMessage = new RowStatement(
  'history.deleteMessage',
  { conversation_id: 'uuid', target: 'bigint', seq: 'bigint', at: 'bigint' },
  (rows) => `
    UPDATE history_messages m
    SET content = NULL, deleted_at = d.at
    FROM (
      SELECT DISTINCT ON (r.conversation_id, r.target) r.*
      FROM ${rows}
      ORDER BY r.conversation_id, r.target, r.seq
    ) d
    WHERE m.conversation_id = d.conversation_id AND m.seq = d.target AND m.deleted_at IS NULL`,
);

/** A deleted message is gone in every version. */
const eraseEdits = new RowStatement(
  'history.eraseEdits',
  { conversation_id: 'uuid', target: 'bigint' },
  (rows) => `
    UPDATE history_edits e
    SET content = NULL
    FROM ${rows}
    WHERE e.conversation_id = r.conversation_id AND e.target = r.target AND e.content IS NOT NULL`,
);

const addReaction = new RowStatement(
  'history.addReaction',
  {
    conversation_id: 'uuid',
    target: 'bigint',
    emoji: 'text',
    user_id: 'uuid',
    seq: 'bigint',
    is_on: 'boolean',
  },
  (rows) => `
    INSERT INTO history_reactions (conversation_id, target, emoji, user_id, seq, is_on)
    SELECT r.conversation_id, r.target, r.emoji, r.user_id, r.seq, r.is_on
    FROM ${rows}
    ON CONFLICT DO NOTHING`,
  { copiesInto: 'history_reactions' },
);

/**
 * Messages, and all that was made of them, each with its seq: whoever reads chooses the last edit and the last
 * reactions of what they may see. Only a deletion is final, and for everybody: it erases.
 */
export const history: Projection = {
  name: 'history/v1',
  tables: ['history_messages', 'history_edits', 'history_reactions'],
  statements: [addMessage, addEdit, deleteMessage, eraseEdits, addReaction],
  on: {
    ConversationStarted: ignore,
    ConversationChanged: ignore,
    MembershipChanged: ignore,
    MessageSent: messageSent,
    MessageEdited: ({ conversationId, seq, at, event }) => [
      addEdit.row({
        conversation_id: conversationId,
        target: event.target,
        seq,
        at,
        version: event.version,
        content: event.content,
      }),
    ],
    MessageDeleted: ({ conversationId, seq, at, event }) => [
      deleteMessage.row({ conversation_id: conversationId, target: event.target, seq, at }),
      eraseEdits.row({ conversation_id: conversationId, target: event.target }),
    ],
    ReactionChanged: ({ conversationId, seq, event }) => [
      addReaction.row({
        conversation_id: conversationId,
        target: event.target,
        emoji: event.emoji,
        user_id: event.by,
        seq,
        is_on: event.change === 'added',
      }),
    ],
    MessageDelivered: ignore,
    MessageRead: ignore,
  },
};

function messageSent({ conversationId, seq, at, event }: Recorded<MessageSent>): readonly Row[] {
  return [
    addMessage.row({
      conversation_id: conversationId,
      seq,
      ordinal: event.ordinal,
      message_id: event.messageId,
      client_message_id: event.clientMessageId,
      sender_id: event.by,
      sent_at: at,
      content: event.content,
      reply_to: event.replyTo ?? null,
      thread_of: event.threadOf ?? null,
      extra: extraOf(event),
    }),
  ];
}

/** What few messages have shares one column, so that the many pay nothing for it. */
function extraOf({ forwardedFrom, mentions, expiresAt, originalAt }: MessageSent): object | null {
  const some = [forwardedFrom, mentions, expiresAt, originalAt].some((value) => value !== undefined);
  return some ? { forwardedFrom, mentions, expiresAt, originalAt } : null;
}

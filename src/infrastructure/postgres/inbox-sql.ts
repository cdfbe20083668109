/** Whose tables the SQL of the conversation list reads; its checkpoint says as of when they are. */
export const INBOX_PROJECTION = 'inbox/v1';

/**
 * What a membership `m` (of read.inbox_members) in conversation `c` (of read.inbox_conversations) has not read:
 * the difference of ordinals, less the deleted ones in between. What came before joining never counts. The
 * verifier executes the same text for all members and compares it with a fold of the log.
 */
export const UNREAD_COUNTS = `
  CROSS JOIN LATERAL (SELECT greatest(m.read_up_to, m.from_seq) AS seq) seen
  CROSS JOIN LATERAL (
    SELECT
      c.last_ordinal
        - coalesce((SELECT i.ordinal FROM read.inbox_messages i
                    WHERE i.conversation_id = m.conversation_id AND i.seq <= seen.seq
                    ORDER BY i.seq DESC LIMIT 1), 0)
        - (SELECT count(*) FROM read.inbox_deleted d
           WHERE d.conversation_id = m.conversation_id AND d.seq > seen.seq) AS unread,
      (SELECT count(*) FROM read.inbox_mentions x
       WHERE x.conversation_id = m.conversation_id AND x.user_id = m.user_id AND x.seq > seen.seq
         AND NOT EXISTS (SELECT FROM read.inbox_deleted d
                         WHERE d.conversation_id = x.conversation_id AND d.seq = x.seq)) AS mentions
  ) counts`;

const LAST_MESSAGE = `
  SELECT m.seq FROM read.inbox_messages m
  WHERE m.conversation_id = own.conversation_id AND m.seq BETWEEN own.lowest AND own.highest
    AND NOT EXISTS (SELECT FROM app.hidden_messages h
                    WHERE h.user_id = $1::uuid AND h.conversation_id = m.conversation_id AND h.seq = m.seq)
  ORDER BY m.seq DESC LIMIT 1`;

/**
 * The last message that user $1 may see: of this time of membership (or of all, where history is shared), else of
 * an earlier one. Searched from the end of each, so that it costs the same however long the conversation is.
 */
export const LAST_VISIBLE_MESSAGE = `
  CROSS JOIN LATERAL (
    SELECT coalesce(
      (SELECT last.seq FROM (
         SELECT m.conversation_id,
           CASE WHEN c.details ->> 'historyVisibility' = 'shared' THEN 0 ELSE m.from_seq END AS lowest,
           c.head_seq AS highest) own
       CROSS JOIN LATERAL (${LAST_MESSAGE}) last),
      (SELECT max(last.seq) FROM (
         SELECT e.conversation_id, e.from_seq AS lowest, e.to_seq AS highest FROM read.inbox_members e
         WHERE e.conversation_id = m.conversation_id AND e.user_id = m.user_id AND e.to_seq IS NOT NULL) own
       CROSS JOIN LATERAL (${LAST_MESSAGE}) last)
    ) AS seq
  ) last_message`;

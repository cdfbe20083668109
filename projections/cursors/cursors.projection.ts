import { ignore, RowStatement, type Projection } from '../projection';

const moveDelivered = new RowStatement(
  'cursors.moveDelivered',
  { conversation_id: 'uuid', user_id: 'uuid', device_id: 'text', up_to: 'bigint' },
  (rows) => `
    INSERT INTO cursors_delivered AS c (conversation_id, user_id, device_id, up_to)
    SELECT r.conversation_id, r.user_id, r.device_id COLLATE "C", max(r.up_to)
    FROM ${rows}
    GROUP BY r.conversation_id, r.user_id, r.device_id COLLATE "C"
    ON CONFLICT (conversation_id, user_id, device_id)
    DO UPDATE SET up_to = excluded.up_to WHERE c.up_to < excluded.up_to`,
);

const moveRead = new RowStatement(
  'cursors.moveRead',
  { conversation_id: 'uuid', user_id: 'uuid', up_to: 'bigint' },
  (rows) => `
    INSERT INTO cursors_read AS c (conversation_id, user_id, up_to)
    SELECT r.conversation_id, r.user_id, max(r.up_to)
    FROM ${rows}
    GROUP BY r.conversation_id, r.user_id
    ON CONFLICT (conversation_id, user_id)
    DO UPDATE SET up_to = excluded.up_to WHERE c.up_to < excluded.up_to`,
);

/** How far each device has got, and each person has read. Cursors only move forward, so the greatest is the last. */
export const cursors: Projection = {
  name: 'cursors/v1',
  tables: ['cursors_delivered', 'cursors_read'],
  statements: [moveDelivered, moveRead],
  on: {
    ConversationStarted: ignore,
    ConversationChanged: ignore,
    MembershipChanged: ignore,
    // Whoever sends has read what came before, and is seen to have.
    MessageSent: ({ conversationId, seq, event }) => [
      moveRead.row({ conversation_id: conversationId, user_id: event.by, up_to: seq }),
    ],
    MessageEdited: ignore,
    MessageDeleted: ignore,
    ReactionChanged: ignore,
    MessageDelivered: ({ conversationId, event }) =>
      event.cursors.map(({ userId, deviceId, upTo }) =>
        moveDelivered.row({
          conversation_id: conversationId,
          user_id: userId,
          device_id: deviceId,
          up_to: upTo,
        }),
      ),
    MessageRead: ({ conversationId, event }) =>
      event.cursors.map(({ userId, upTo }) =>
        moveRead.row({ conversation_id: conversationId, user_id: userId, up_to: upTo }),
      ),
  },
};

import type {
  ConversationStarted,
  MembershipChanged,
  MessageDelivered,
  MessageRead,
  Recorded,
} from '../../src/domain/conversation/events';
import { deviceAliasOf, unpack } from '../../src/domain/conversation/packed-cursors';
import { ignore, type Projection, type Row } from '../projection';
import { join, leave, moveDelivered, moveDeliveredByTag, moveRead, moveReadByTag } from './statements';

/**
 * How far each device has got, and each person has read. Cursors only move forward, so the greatest is the last.
 * It keeps its own times of membership, because packed cursors name only as much of a user as tells the members of
 * their time apart, and a projection may not lean on another one's tables.
 */
export const cursors: Projection = {
  name: 'cursors/v2',
  tables: ['cursors_members', 'cursors_delivered', 'cursors_read'],
  statements: [join, leave, moveDelivered, moveDeliveredByTag, moveRead, moveReadByTag],
  on: {
    ConversationStarted: started,
    ConversationChanged: ignore,
    MembershipChanged: membershipChanged,
    // Whoever sends has read what came before, and is seen to have.
    MessageSent: ({ conversationId, seq, event }) => [
      moveRead.row({ conversation_id: conversationId, user_id: event.by, up_to: seq }),
    ],
    MessageEdited: ignore,
    MessageDeleted: ignore,
    ReactionChanged: ignore,
    MessageDelivered: delivered,
    MessageRead: read,
  },
};

function started({ conversationId, seq, event }: Recorded<ConversationStarted>): readonly Row[] {
  return event.memberIds.map((userId) => join.row({ conversation_id: conversationId, user_id: userId, seq }));
}

function membershipChanged({ conversationId, seq, event }: Recorded<MembershipChanged>): readonly Row[] {
  const { change, userId } = event;
  const row = { conversation_id: conversationId, user_id: userId, seq };
  if (change === 'joined') return [join.row(row)];
  return change === 'left' || change === 'removed' ? [leave.row(row)] : [];
}

function delivered({ conversationId, seq, event }: Recorded<MessageDelivered>): readonly Row[] {
  const common = { conversation_id: conversationId };
  return [
    ...event.cursors.map(({ userId, deviceId, upTo }) =>
      moveDelivered.row({ ...common, user_id: userId, device_id: deviceId, up_to: upTo }),
    ),
    ...unpack(event.packed ?? '', 'devices').map(({ user, device = 0, upTo }) =>
      moveDeliveredByTag.row({
        ...common,
        user_tag: user,
        device_id: deviceAliasOf(device),
        seq,
        up_to: upTo,
      }),
    ),
  ];
}

function read({ conversationId, seq, event }: Recorded<MessageRead>): readonly Row[] {
  const common = { conversation_id: conversationId };
  return [
    ...event.cursors.map(({ userId, upTo }) => moveRead.row({ ...common, user_id: userId, up_to: upTo })),
    ...unpack(event.packed ?? '', 'usersOnly').map(({ user, upTo }) =>
      moveReadByTag.row({ ...common, user_tag: user, seq, up_to: upTo }),
    ),
  ];
}

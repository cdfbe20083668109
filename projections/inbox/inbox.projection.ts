import { assertNever } from '../../src/kernel/assert-never';
import type {
  ConversationChanged,
  ConversationStarted,
  MembershipChanged,
  MessageRead,
  MessageSent,
  Recorded,
} from '../../src/domain/conversation/events';
import { unpack } from '../../src/domain/conversation/packed-cursors';
import type { Projection, Row } from '../projection';
import {
  addMention,
  addMessage,
  advance,
  changeRole,
  countMembers,
  deleteMessage,
  join,
  leave,
  moveRead,
  moveReadByTag,
  setDetail,
  start,
} from './statements';

/**
 * The conversation list: conversations, times of membership with role and read cursor, and what unread and
 * mention counts are computed from. An unread count is `last_ordinal` less the ordinal of the last message at or
 * before the reader's cursor, less the deleted ones in between (docs/adr/0003): a message touches one row of
 * conversations and one of its sender, whatever the size of the group.
 */
export const inbox: Projection = {
  name: 'inbox/v1',
  tables: ['inbox_conversations', 'inbox_members', 'inbox_messages', 'inbox_deleted', 'inbox_mentions'],
  statements: [
    start,
    setDetail,
    join,
    leave,
    changeRole,
    moveRead,
    moveReadByTag,
    addMessage,
    deleteMessage,
    addMention,
    countMembers,
    advance,
  ],
  on: {
    ConversationStarted: started,
    ConversationChanged: (recorded) => [...details(recorded), ...head(recorded)],
    MembershipChanged: membershipChanged,
    MessageSent: messageSent,
    MessageEdited: head,
    MessageDeleted: (recorded) => [
      deleteMessage.row({ conversation_id: recorded.conversationId, target: recorded.event.target }),
      ...head(recorded),
    ],
    ReactionChanged: head,
    MessageDelivered: head,
    MessageRead: (recorded) => [
      ...recorded.event.cursors.map(({ userId, upTo }) =>
        moveRead.row({
          conversation_id: recorded.conversationId,
          user_id: userId,
          seq: recorded.seq,
          up_to: upTo,
        }),
      ),
      ...packedReads(recorded),
      ...head(recorded),
    ],
  },
};

function packedReads({ conversationId, seq, event }: Recorded<MessageRead>): Row[] {
  if (event.packed === undefined) return [];
  return unpack(event.packed, 'usersOnly').map(({ user, upTo }) =>
    moveReadByTag.row({ conversation_id: conversationId, user_tag: user, seq, up_to: upTo }),
  );
}

/** Moves the head alone. */
function head({ conversationId, seq }: Recorded): Row[] {
  return [advance.row({ conversation_id: conversationId, seq, ordinal: null, active_at: null })];
}

function started(recorded: Recorded<ConversationStarted>): Row[] {
  const { conversationId, seq, at, event } = recorded;
  const roleOf = (userId: string): string =>
    event.kind === 'group' && userId === event.by ? 'owner' : 'member';
  return [
    start.row({ conversation_id: conversationId, kind: event.kind, at, seq }),
    ...details(recorded),
    ...event.memberIds.map((userId) =>
      join.row({ conversation_id: conversationId, user_id: userId, seq, at, role: roleOf(userId) }),
    ),
    countMembers.row({ conversation_id: conversationId }),
  ];
}

function details({
  conversationId,
  seq,
  event,
}: Recorded<ConversationStarted | ConversationChanged>): readonly Row[] {
  const { title, settings } = event;
  const own =
    event.type === 'ConversationChanged'
      ? { description: event.description, avatarFileId: event.avatarFileId }
      : {};
  return Object.entries({ title, ...own, ...settings })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => setDetail.row({ conversation_id: conversationId, seq, name, value }));
}

function membershipChanged({ conversationId, seq, at, event }: Recorded<MembershipChanged>): readonly Row[] {
  const { userId, change } = event;
  const member = { conversation_id: conversationId, user_id: userId, seq };
  const active = [
    countMembers.row({ conversation_id: conversationId }),
    advance.row({ conversation_id: conversationId, seq, ordinal: null, active_at: at }),
  ];
  const still = advance.row({ conversation_id: conversationId, seq, ordinal: null, active_at: null });
  switch (change) {
    case 'joined':
      return [join.row({ ...member, at, role: event.role ?? 'member' }), ...active];
    case 'left':
    case 'removed':
      return [leave.row(member), ...active];
    case 'roleChanged':
      return event.role === undefined ? [still] : [changeRole.row({ ...member, role: event.role }), still];
    case 'blocked':
    case 'unblocked':
      return [still];
    default:
      return assertNever(change);
  }
}

/** Three rows a message, and most events are messages: no object is made here that is not one of them. */
function messageSent({ conversationId, seq, at, event }: Recorded<MessageSent>): readonly Row[] {
  const { ordinal, by, mentions } = event;
  const rows: Row[] = [
    addMessage.row({ conversation_id: conversationId, seq, ordinal }),
    // Whoever sends has read what came before.
    moveRead.row({ conversation_id: conversationId, user_id: by, seq, up_to: seq }),
    advance.row({ conversation_id: conversationId, seq, ordinal, active_at: at }),
  ];
  for (const userId of mentions ?? []) {
    rows.push(addMention.row({ conversation_id: conversationId, user_id: userId, seq }));
  }
  return rows;
}

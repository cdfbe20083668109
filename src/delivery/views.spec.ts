import { conversationOf, userOf } from '../../test/support/delivery';
import type { ConversationView, MessageView } from '../application/ports/read-models';
import { DEFAULT_SETTINGS } from '../domain/conversation/settings';
import { asMillis, asOrdinal, asSeq } from '../kernel/ids';
import { Conversation, Message } from '../protocol/schemas';
import { compile } from '../protocol/validation';
import { toConversationDto, toMessageDto } from './views';

const AT = asMillis(Date.parse('2026-11-22T10:00:00.000Z'));
const ISO = '2026-11-22T10:00:00.000Z';

const message: MessageView = {
  conversationId: conversationOf(1),
  seq: asSeq(4),
  ordinal: asOrdinal(2),
  messageId: conversationOf(7),
  clientMessageId: 'key',
  senderId: userOf(1),
  at: AT,
  content: { type: 'text', body: 'hello' },
  replyTo: asSeq(1),
  forwardedFrom: { conversationId: conversationOf(2), seq: asSeq(3) },
  mentions: [userOf(2)],
  version: 2,
  editedAt: AT,
  reactions: [{ emoji: '👍', count: 1, userIds: [userOf(2)], mine: false }],
};
const conversation: ConversationView = {
  id: conversationOf(1),
  kind: 'group',
  title: 'Plans',
  members: [{ userId: userOf(1), role: 'owner', joinedAt: AT }],
  memberCount: 1,
  settings: DEFAULT_SETTINGS,
  headSeq: asSeq(4),
  lastOrdinal: asOrdinal(2),
  lastMessage: message,
  unreadCount: 1,
  mentionCount: 0,
  readUpTo: -1,
  createdAt: AT,
  activeAt: AT,
};
const wire = (dto: unknown): unknown => JSON.parse(JSON.stringify(dto));

describe('views', () => {
  it('shows a message with times as text and nothing left out', () => {
    const dto = toMessageDto(message);
    expect(compile(Message).errors(wire(dto))).toEqual([]);
    expect(dto).toEqual({ ...message, at: ISO, editedAt: ISO });
  });

  it('shows a deleted message without content', () => {
    const dto = toMessageDto({ ...message, content: null, deletedAt: AT });
    expect(compile(Message).errors(wire(dto))).toEqual([]);
    expect(dto).toMatchObject({ content: null, deletedAt: ISO });
  });

  it('shows a conversation with its members and its last message', () => {
    const dto = toConversationDto(conversation);
    expect(compile(Conversation).errors(wire(dto))).toEqual([]);
    expect(dto).toEqual({
      ...conversation,
      members: [{ userId: userOf(1), role: 'owner', joinedAt: ISO }],
      lastMessage: toMessageDto(message),
      createdAt: ISO,
      activeAt: ISO,
    });
    expect(toConversationDto({ ...conversation, lastMessage: null }).lastMessage).toBeNull();
  });
});

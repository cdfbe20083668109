import type { EventFrame } from '../src/protocol/events';
import { LocalConversations } from './conversations';
import type { Summary } from './conversations';
import { CHANGES_KEPT_MAX, LocalConversation } from './local-conversation';
import { messageFromEvent, type LocalMessage } from './local-message';

const ROOM = 'room';
const ME = 'me';
const OTHER = 'other';

const at = '2026-01-01T00:00:00.000Z';
let ordinal = 0;
const content = (seq: number): { type: string } => {
  const text = { type: 'text', body: `body ${seq}` };
  return text;
};
const sent = (seq: number, by = OTHER): EventFrame => ({
  event: 'message.sent',
  data: {
    conversationId: ROOM,
    seq,
    at,
    by,
    messageId: `m${seq}`,
    clientMessageId: `k${seq}`,
    ordinal: ++ordinal,
    content: content(seq),
  },
});
const membership = (seq: number, change: 'joined' | 'left', userId = ME): EventFrame => ({
  event: 'membership.changed',
  data: { conversationId: ROOM, seq, at, by: OTHER, userId, change },
});
const readBy = (seq: number, upTo: number, userId = ME): EventFrame => ({
  event: 'message.read',
  data: { conversationId: ROOM, seq, at, by: userId, cursors: [{ userId, upTo }] },
});
const deleted = (seq: number, target: number): EventFrame => ({
  event: 'message.deleted',
  data: { conversationId: ROOM, seq, at, by: OTHER, target },
});
const summary = (of: Partial<Summary>): Summary => ({
  id: ROOM,
  kind: 'group',
  members: [],
  memberCount: 0,
  settings: { historyVisibility: 'joined', whoMayInvite: 'everyone', whoMayPost: 'everyone' },
  headSeq: 0,
  lastOrdinal: 0,
  lastMessage: null,
  unreadCount: 0,
  mentionCount: 0,
  readUpTo: -1,
  createdAt: at,
  activeAt: at,
  ...of,
});

const conversationOf = (...frames: readonly EventFrame[]): LocalConversation => {
  const conversation = new LocalConversation(ROOM);
  for (const frame of frames) conversation.apply(frame, ME);
  return conversation;
};

describe('unread counts of a device', () => {
  it('keep what was read here when the server counted before it heard of it', () => {
    const conversation = conversationOf(sent(0), sent(1), sent(2));
    conversation.markRead(1);
    conversation.apply(sent(3), ME);
    conversation.summarise(summary({ headSeq: 3, unreadCount: 4, readUpTo: -1 }));
    expect([conversation.unread, conversation.readUpTo]).toEqual([2, 1]);
  });

  it('count exactly from the first event a restarted device was handed', () => {
    const conversation = conversationOf(membership(4, 'joined', OTHER));
    conversation.summarise(summary({ headSeq: 4, unreadCount: 1, readUpTo: 0 }));
    conversation.markRead(3);
    expect(conversation.unread).toBe(0);
    conversation.apply(sent(5), ME);
    expect(conversation.unread).toBe(1);
  });

  it('wait for the next summary when what was read lies before all that is known', () => {
    const conversation = conversationOf(sent(4));
    conversation.summarise(summary({ headSeq: 4, unreadCount: 3, readUpTo: 0 }));
    conversation.markRead(2);
    expect([conversation.unread, conversation.isUncertain]).toEqual([3, false]);
    // Once the log has it, the server's count has it, too.
    conversation.apply(readBy(5, 2), ME);
    expect(conversation.isUncertain).toBe(true);
    conversation.summarise(summary({ headSeq: 5, unreadCount: 1, readUpTo: 2 }));
    expect([conversation.unread, conversation.isUncertain]).toEqual([1, false]);
  });

  it('need a summary when a message that is not kept is deleted, if it may have been unread', () => {
    const conversation = conversationOf(sent(8));
    conversation.summarise(summary({ headSeq: 8, unreadCount: 3, readUpTo: 4 }));
    for (const target of [3, 8]) conversation.apply(deleted(9 + target, target), ME);
    expect([conversation.unread, conversation.isUncertain]).toEqual([2, false]);
    conversation.apply(deleted(20, 6), ME);
    expect([conversation.unread, conversation.isUncertain]).toEqual([2, true]);
    conversation.summarise(summary({ headSeq: 19, unreadCount: 2, readUpTo: 4 }));
    expect(conversation.isUncertain).toBe(true);
    conversation.summarise(summary({ headSeq: 20, unreadCount: 1, readUpTo: 4 }));
    expect([conversation.unread, conversation.isUncertain]).toEqual([1, false]);
  });

  it('begin anew with a new membership, and are not touched by what happens to older messages', () => {
    const conversation = conversationOf(sent(0), sent(1), membership(2, 'left'));
    conversation.markRead(0);
    for (const frame of [membership(3, 'joined'), sent(4)]) conversation.apply(frame, ME);
    expect([conversation.unread, conversation.readUpTo]).toEqual([1, -1]);
    conversation.apply(deleted(5, 1), ME);
    expect(conversation.unread).toBe(1);
    conversation.markRead(0);
    expect(conversation.unread).toBe(1);
    conversation.apply(deleted(6, 4), ME);
    expect(conversation.unread).toBe(0);
  });
});

describe('title and members of a device', () => {
  const changed = (seq: number, title: string): EventFrame => ({
    event: 'conversation.changed',
    data: { conversationId: ROOM, seq, at, by: OTHER, title },
  });
  const members = [ME, OTHER, 'third'].map((userId) => ({ userId, role: 'member' as const, joinedAt: at }));

  it('do not go back to a summary that is older than the pushes', () => {
    const conversation = conversationOf(sent(5), membership(6, 'left', 'third'), changed(7, 'new'));
    conversation.summarise(summary({ headSeq: 5, title: 'old', members, memberCount: 3 }));
    expect([conversation.title, conversation.memberCount]).toEqual(['new', 2]);
    expect([...conversation.members.keys()]).toEqual([ME, OTHER]);
  });

  it('count nobody twice when a push brings what the summary knew', () => {
    const conversation = conversationOf(sent(0));
    conversation.summarise(summary({ headSeq: 2, members: members.slice(0, 2), memberCount: 2 }));
    conversation.apply(membership(1, 'left', 'third'), ME);
    expect(conversation.memberCount).toBe(2);
    conversation.apply(membership(2, 'joined', OTHER), ME);
    expect(conversation.memberCount).toBe(2);
    conversation.apply(membership(3, 'left', OTHER), ME);
    expect(conversation.memberCount).toBe(1);
  });

  it('stay as the newer of two summaries says', () => {
    const conversation = conversationOf(sent(0));
    conversation.summarise(summary({ headSeq: 4, title: 'new', members, memberCount: 3, unreadCount: 2 }));
    conversation.summarise(summary({ headSeq: 3, title: 'old', unreadCount: 1 }));
    expect([conversation.title, conversation.memberCount, conversation.unread]).toEqual(['new', 3, 2]);
  });

  it('remember CHANGES_KEPT_MAX changes and not one more', () => {
    const leave = (seq: number) => membership(seq, 'left', `user ${seq}`);
    const full = Array.from({ length: CHANGES_KEPT_MAX }, (_, n) => leave(n + 1));
    const after = (frames: readonly EventFrame[]): number => {
      const conversation = conversationOf(sent(0), ...frames);
      conversation.summarise(summary({ headSeq: 0, memberCount: 1_000 }));
      return conversation.memberCount;
    };
    expect(after(full)).toBe(1_000 - CHANGES_KEPT_MAX);
    expect(after([...full, leave(CHANGES_KEPT_MAX + 1)])).toBe(1_000 - CHANGES_KEPT_MAX);
  });
});

describe('a message that was sent before the first connection', () => {
  const pendingOf = (conversations: LocalConversations) => {
    const message = {
      clientMessageId: 'k1',
      conversationId: ROOM,
      state: 'pending' as const,
      seq: undefined,
      ordinal: undefined,
      messageId: undefined,
      senderId: undefined,
      at,
      content: { type: 'text', body: 'body 1' },
      replyTo: undefined,
      originalAt: undefined,
      version: 1,
      reactions: new Map<string, Set<string>>(),
    };
    conversations.apply(sent(0));
    conversations.addPending(ROOM, message);
    return message;
  };

  it('knows whose it is once its event has come', () => {
    const conversations = new LocalConversations(() => ME);
    pendingOf(conversations);
    conversations.apply(sent(1, ME));
    expect(conversations.get(ROOM)?.messages.map(({ senderId }) => senderId)).toEqual([OTHER, ME]);
  });

  it('knows whose it is once it is acknowledged', () => {
    const conversations = new LocalConversations(() => ME);
    const message = pendingOf(conversations);
    const ack = {
      conversationId: ROOM,
      clientMessageId: 'k1',
      messageId: 'm1',
      seq: 1,
      ordinal: 2,
      at,
      duplicate: false,
    };
    conversations.acknowledge(message, ack);
    expect(message.senderId).toBe(ME);
  });
});

describe('an acknowledgement', () => {
  const ownMessage = (seq: number): LocalMessage => ({
    ...messageFromEvent(sent(seq, ME).data as never),
    state: 'sent',
  });

  it('puts a message in its place when it comes before the push', () => {
    const conversation = conversationOf(sent(0), sent(1));
    conversation.settle(ownMessage(2));
    conversation.apply(sent(2, ME), ME);
    expect(conversation.messages.map(({ seq }) => seq)).toEqual([0, 1, 2]);
  });

  it('that comes late does not bring back a message of which later events have gone by', () => {
    // Started again behind its own message 7, to which somebody has reacted since.
    const conversation = conversationOf(sent(8), sent(9));
    conversation.settle(ownMessage(7));
    expect(conversation.messages.map(({ seq }) => seq)).toEqual([8, 9]);
    expect(conversation.pending.size).toBe(0);
  });
});

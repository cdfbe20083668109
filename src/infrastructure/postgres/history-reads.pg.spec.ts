import { userNamed } from '../../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../../test/support/postgres';
import { project } from '../../../test/support/projected';
import { WRITTEN_FROM, WrittenConversation } from '../../../test/support/written-conversation';
import type { HistoryQuery } from '../../application/ports/read-models';
import { asClientMessageId, asDeviceId, asSeq, type Seq, type UserId } from '../../kernel/ids';
import { PostgresCursorReads } from './cursor-reads';
import { PostgresHistoryReads } from './history-reads';
import { PostgresMessageIndex } from './message-index';
import { REACTION_USERS_MAX } from './message-rows';

const [ann, bob, cid] = ['ann', 'bob', 'cid'].map(userNamed) as [UserId, UserId, UserId];

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

describe('PostgresHistoryReads', () => {
  const history = (): PostgresHistoryReads => new PostgresHistoryReads(db.database);

  /** Messages at seqs 1..count. */
  const written = async (count: number): Promise<WrittenConversation> => {
    const conversation = new WrittenConversation([ann, bob]);
    for (let n = 0; n < count; n++) conversation.send(n % 2 === 0 ? ann : bob);
    await project(db.database, conversation.events);
    return conversation;
  };
  const page = async (
    { id }: WrittenConversation,
    query: { readonly [Name in keyof HistoryQuery]?: HistoryQuery[Name] | number },
  ): Promise<[number[], boolean]> => {
    const { items, hasMore } = await history().page({
      conversationId: id,
      userId: ann,
      visible: [{ from: asSeq(0), to: undefined }],
      limit: 3,
      ...(query as Partial<HistoryQuery>),
    });
    return [items.map(({ seq }) => seq), hasMore];
  };

  const message = (userId: UserId, { id }: WrittenConversation, seq: Seq) =>
    history().message({
      userId,
      conversationId: id,
      seq,
      visible: [{ from: asSeq(0), to: undefined }],
    });

  it('pages in both directions, chronological inside a page', async () => {
    const conversation = await written(10);
    expect(await page(conversation, {})).toEqual([[8, 9, 10], true]);
    expect(await page(conversation, { before: 8 })).toEqual([[5, 6, 7], true]);
    expect(await page(conversation, { before: 4 })).toEqual([[1, 2, 3], false]);
    expect(await page(conversation, { before: 0 })).toEqual([[], false]);
    expect(await page(conversation, { after: 0 })).toEqual([[1, 2, 3], true]);
    expect(await page(conversation, { after: 7 })).toEqual([[8, 9, 10], false]);
    expect(await page(conversation, { after: 10 })).toEqual([[], false]);
    expect(await page(conversation, { limit: 10 })).toEqual([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], false]);
  });

  it('puts the message asked for into the middle, and fills up from the longer side', async () => {
    const conversation = await written(10);
    expect(await page(conversation, { around: 5, limit: 5 })).toEqual([[3, 4, 5, 6, 7], true]);
    expect(await page(conversation, { around: 1, limit: 5 })).toEqual([[1, 2, 3, 4, 5], true]);
    expect(await page(conversation, { around: 10, limit: 5 })).toEqual([[6, 7, 8, 9, 10], true]);
    expect(await page(conversation, { around: 999, limit: 5 })).toEqual([[6, 7, 8, 9, 10], true]);
    expect(await page(conversation, { around: 5, limit: 10 })).toEqual([
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
      false,
    ]);
  });

  it('shows only what lies in the visible spans', async () => {
    const conversation = await written(12);
    const visible = [
      { from: asSeq(2), to: asSeq(4) },
      { from: asSeq(9), to: asSeq(10) },
    ];
    expect(await page(conversation, { visible })).toEqual([[4, 9, 10], true]);
    expect(await page(conversation, { visible, before: 4 })).toEqual([[2, 3], false]);
    expect(await page(conversation, { visible, after: 3 })).toEqual([[4, 9, 10], false]);
    expect(await page(conversation, { visible, around: 7, limit: 4 })).toEqual([[3, 4, 9, 10], true]);
    expect(await page(conversation, { visible: [] })).toEqual([[], false]);
  });

  it('leaves out what one has hidden from oneself, and nobody else', async () => {
    const conversation = await written(4);
    await history().hide(ann, conversation.id, asSeq(3));
    await history().hide(ann, conversation.id, asSeq(3));
    expect(await page(conversation, {})).toEqual([[1, 2, 4], false]);
    expect(await page(conversation, { userId: bob, limit: 9 })).toEqual([[1, 2, 3, 4], false]);
    expect(await message(ann, conversation, asSeq(3))).toBeUndefined();
    expect((await message(bob, conversation, asSeq(3)))?.seq).toBe(3);
  });

  it('shows a message as it now is', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    const seq = conversation.send(ann, {
      replyTo: asSeq(7),
      threadOf: asSeq(6),
      mentions: [bob],
      originalAt: '2004-07-05T00:00:00.000Z',
      forwardedFrom: { conversationId: conversation.id, seq: asSeq(5) },
    });
    const { event } = conversation.events[seq] ?? { event: undefined };
    if (event?.type !== 'MessageSent') throw new Error('no message');
    const edited = { type: 'text', body: 'better' };
    conversation.add({ type: 'MessageEdited', by: ann, target: seq, content: edited, version: 2 });
    await project(db.database, conversation.events);
    const view = {
      conversationId: conversation.id,
      seq,
      ordinal: 1,
      messageId: event.messageId,
      clientMessageId: 'key-1',
      senderId: ann,
      at: WRITTEN_FROM + 1_000,
      content: edited,
      replyTo: 7,
      threadOf: 6,
      mentions: [bob],
      originalAt: '2004-07-05T00:00:00.000Z',
      forwardedFrom: { conversationId: conversation.id, seq: 5 },
      version: 2,
      editedAt: WRITTEN_FROM + 2_000,
      reactions: [],
    };
    expect(await message(bob, conversation, seq)).toEqual(view);
    const target = seq;
    conversation.add({ type: 'ReactionChanged', by: bob, target, emoji: '👍', change: 'added' });
    conversation.add({ type: 'MessageDeleted', by: ann, target });
    await project(db.database, conversation.events);
    expect(await message(bob, conversation, seq)).toEqual({
      ...view,
      content: null,
      deletedAt: WRITTEN_FROM + 4_000,
    });
  });

  it(`shows reactions in the order of reacting, ${REACTION_USERS_MAX} people of each at most`, async () => {
    const conversation = new WrittenConversation([ann, bob]);
    const target = conversation.send(ann);
    const react = (by: UserId, emoji: string, change: 'added' | 'removed' = 'added'): Seq =>
      conversation.add({ type: 'ReactionChanged', by, target, emoji, change });
    const many = Array.from({ length: REACTION_USERS_MAX + 3 }, (_, n) => userNamed(`fan ${n}`));
    react(cid, '🎉');
    for (const by of many) react(by, '👍');
    react(bob, '🎉');
    react(bob, '😡');
    react(bob, '😡', 'removed');
    react(cid, '🎉', 'removed');
    react(cid, '🎉');
    await project(db.database, conversation.events);
    expect((await message(bob, conversation, target))?.reactions).toEqual([
      { emoji: '👍', count: many.length, userIds: many.slice(0, REACTION_USERS_MAX), mine: false },
      { emoji: '🎉', count: 2, userIds: [bob, cid], mine: true },
    ]);
  });
});

describe('PostgresCursorReads', () => {
  it('gives the cursors at or past a seq', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    const [first, second] = [conversation.send(ann), conversation.send(ann)];
    const phone = { userId: bob, deviceId: asDeviceId('phone') };
    const desk = { userId: bob, deviceId: asDeviceId('desk') };
    const delivered = (...cursors: { userId: UserId; deviceId: typeof phone.deviceId; upTo: Seq }[]) =>
      conversation.add({ type: 'MessageDelivered', by: bob, cursors, audience: 'everyone' });
    delivered({ ...phone, upTo: second }, { ...desk, upTo: first });
    delivered({ ...phone, upTo: first });
    conversation.add({
      type: 'MessageRead',
      by: bob,
      cursors: [{ userId: bob, upTo: first }],
      audience: 'everyone',
    });
    await project(db.database, conversation.events);
    const cursors = new PostgresCursorReads(db.database);
    const both = await cursors.receipts(conversation.id, first);
    expect(both.delivered).toEqual([
      { ...desk, upTo: first },
      { ...phone, upTo: second },
    ]);
    expect(new Set(both.read)).toEqual(
      new Set([
        { userId: ann, upTo: second },
        { userId: bob, upTo: first },
      ]),
    );
    expect(await cursors.receipts(conversation.id, second)).toEqual({
      delivered: [{ ...phone, upTo: second }],
      read: [{ userId: ann, upTo: second }],
    });
  });
});

describe('PostgresMessageIndex', () => {
  it('finds a key, knows that there is none, and says when it cannot know', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    conversation.send(ann);
    conversation.send(bob);
    await project(db.database, conversation.events);
    const index = new PostgresMessageIndex(db.database);
    const find = (key: string, after?: string) =>
      index.find(conversation.id, {
        by: ann,
        clientMessageId: asClientMessageId(key),
        after: after === undefined ? undefined : { by: bob, clientMessageId: asClientMessageId(after) },
        asOf: asSeq(2),
      });
    const { event } = conversation.events[1] ?? { event: undefined };
    const found = {
      messageId: event?.type === 'MessageSent' ? event.messageId : '',
      seq: 1,
      ordinal: 1,
      at: WRITTEN_FROM + 1_000,
      contentHash: 'hash-1',
    };
    expect(await find('key-1', 'key-2')).toEqual({ kind: 'answer', found });
    expect(await find('key-1', 'not yet there')).toEqual({ kind: 'answer', found });
    expect(await find('key-1')).toEqual({ kind: 'answer', found });
    // Bob's key, not Ann's.
    expect(await find('key-2', 'key-2')).toEqual({ kind: 'answer', found: undefined });
    expect(await find('key-9')).toEqual({ kind: 'answer', found: undefined });
    expect(await find('key-9', 'not yet there')).toEqual({ kind: 'behind' });
  });
});

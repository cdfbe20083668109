import { userNamed } from '../../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../../test/support/postgres';
import { project } from '../../../test/support/projected';
import { WRITTEN_FROM, WrittenConversation } from '../../../test/support/written-conversation';
import { asConversationId, asSeq, type UserId } from '../../kernel/ids';
import { uuidv7 } from '../../kernel/uuid';
import { inbox as inboxProjection } from '../../../projections/inbox/inbox.projection';
import { LIVE_GROUP } from '../../../projections/live';
import { writeCheckpoints } from '../../../projections/runner/checkpoints';
import { POSITION_START } from '../../kernel/position';
import { PostgresHistoryReads } from './history-reads';
import { MEMBERS_IN_VIEW_MAX, PostgresInboxReads } from './inbox-reads';

const [ann, bob, cid] = ['ann', 'bob', 'cid'].map(userNamed) as [UserId, UserId, UserId];

describe('PostgresInboxReads', () => {
  let db: TestDatabase;
  let inbox: PostgresInboxReads;

  beforeEach(async () => {
    db = await createTestDatabase();
    inbox = new PostgresInboxReads(db.database);
  });
  afterEach(() => db.drop());

  const save = (...conversations: readonly WrittenConversation[]): Promise<void> =>
    project(
      db.database,
      conversations.flatMap(({ events }) => events),
    );
  const join = (conversation: WrittenConversation, userId: UserId) =>
    conversation.add({ type: 'MembershipChanged', by: ann, userId, change: 'joined', role: 'member' });
  const remove = (conversation: WrittenConversation, userId: UserId) =>
    conversation.add({ type: 'MembershipChanged', by: ann, userId, change: 'removed' });
  const counts = async (userId: UserId, conversation: WrittenConversation) => {
    const view = await inbox.conversation(userId, conversation.id);
    return view === undefined ? undefined : [view.unreadCount, view.mentionCount, view.readUpTo];
  };

  it('shows a conversation as a member sees it', async () => {
    const conversation = new WrittenConversation([ann, bob], { title: 'plans' });
    const first = conversation.send(ann);
    conversation.add({
      type: 'ConversationChanged',
      by: ann,
      description: 'about',
      settings: { whoMayPost: 'admins', disappearAfterSeconds: 60 },
    });
    conversation.add({ type: 'ReactionChanged', by: bob, target: first, emoji: '👍', change: 'added' });
    conversation.add({ type: 'ConversationChanged', by: ann, settings: { disappearAfterSeconds: 0 } });
    await save(conversation);
    const { lastMessage, ...view } = (await inbox.conversation(bob, conversation.id)) ?? {
      lastMessage: null,
    };
    expect(lastMessage).toMatchObject({
      seq: 1,
      content: { type: 'text', body: 'message 1' },
      reactions: [{ emoji: '👍', count: 1, userIds: [bob], mine: true }],
    });
    expect(view).toEqual({
      id: conversation.id,
      kind: 'group',
      title: 'plans',
      description: 'about',
      members: [
        { userId: ann, role: 'owner', joinedAt: WRITTEN_FROM },
        { userId: bob, role: 'member', joinedAt: WRITTEN_FROM },
      ].sort((a, b) => (a.userId < b.userId ? -1 : 1)),
      memberCount: 2,
      settings: { historyVisibility: 'joined', whoMayInvite: 'admins', whoMayPost: 'admins' },
      headSeq: 4,
      lastOrdinal: 1,
      unreadCount: 1,
      mentionCount: 0,
      readUpTo: -1,
      createdAt: WRITTEN_FROM,
      // The last message's time: changes of the title and reactions are no activity.
      activeAt: WRITTEN_FROM + 1_000,
    });
    expect(await inbox.conversation(cid, conversation.id)).toBeUndefined();
    expect(await inbox.conversation(ann, asConversationId(uuidv7()))).toBeUndefined();
  });

  it('counts what is unread: from the cursor, without the deleted, the own, and those before joining', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    conversation.send(ann, { mentions: [bob, cid] });
    const second = conversation.send(ann, { mentions: [bob] });
    const third = conversation.send(ann, { mentions: [bob] });
    await save(conversation);
    expect(await counts(bob, conversation)).toEqual([3, 3, -1]);
    expect(await counts(ann, conversation)).toEqual([0, 0, third]);
    conversation.add({ type: 'MessageDeleted', by: ann, target: third });
    await save(conversation);
    expect(await counts(bob, conversation)).toEqual([2, 2, -1]);
    conversation.add({
      type: 'MessageRead',
      by: bob,
      cursors: [{ userId: bob, upTo: second }],
      audience: 'everyone',
    });
    join(conversation, cid);
    conversation.send(ann);
    await save(conversation);
    expect(await counts(bob, conversation)).toEqual([1, 0, second]);
    expect(await counts(cid, conversation)).toEqual([1, 0, -1]);
    const own = conversation.send(bob);
    await save(conversation);
    expect(await counts(bob, conversation)).toEqual([0, 0, own]);
    remove(conversation, bob);
    conversation.send(ann);
    await save(conversation);
    expect(await counts(bob, conversation)).toBeUndefined();
    join(conversation, bob);
    conversation.send(ann);
    await save(conversation);
    expect(await counts(bob, conversation)).toEqual([1, 0, -1]);
  });

  it('shows the last message that one may see', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    const seen = conversation.send(ann);
    remove(conversation, bob);
    conversation.send(ann);
    join(conversation, bob);
    join(conversation, cid);
    await save(conversation);
    const last = async (userId: UserId) =>
      (await inbox.conversation(userId, conversation.id))?.lastMessage?.seq;
    expect(await last(bob)).toBe(seen);
    expect(await last(cid)).toBeUndefined();
    const shown = conversation.send(ann);
    await save(conversation);
    await new PostgresHistoryReads(db.database).hide(cid, conversation.id, shown);
    expect(await last(bob)).toBe(shown);
    expect(await last(cid)).toBeUndefined();
    conversation.add({ type: 'ConversationChanged', by: ann, settings: { historyVisibility: 'shared' } });
    await save(conversation);
    expect(await last(cid)).toBe(3);
  });

  it('pages by newest activity, each conversation once, also between equal times', async () => {
    const conversations = Array.from({ length: 7 }, (_, n) => {
      const conversation = new WrittenConversation([ann, bob], {}, WRITTEN_FROM + Math.floor(n / 3) * 10_000);
      if (n === 0) conversation.send(bob, {});
      return conversation;
    });
    await save(...conversations, new WrittenConversation([bob]));
    const ids: string[] = [];
    for (let cursor: string | undefined, pages = 1; ; pages++) {
      const page = await inbox.page(ann, { limit: 3, ...(cursor === undefined ? {} : { cursor }) });
      if (page === 'bad_cursor') throw new Error('our own cursor was refused');
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
      expect(page.hasMore).toBe(pages < 3);
      expect(cursor === undefined).toBe(!page.hasMore);
      if (!page.hasMore) break;
    }
    expect(ids).toHaveLength(7);
    expect(new Set(ids)).toEqual(new Set(conversations.map(({ id }) => id)));
    const { items: heads } = await inbox.heads(ann);
    expect(heads.map(({ conversationId }) => conversationId)).toEqual(ids);
    expect(heads.map(({ activeAt }) => activeAt)).toEqual(
      heads.map(({ activeAt }) => activeAt).sort((a, b) => b - a),
    );
    expect(await inbox.page(cid, { limit: 3 })).toEqual({ items: [], hasMore: false });
  });

  it.each(['', 'x', '!!!', Buffer.from('1/2').toString('base64url'), 'A'.repeat(10_000)])(
    'refuses the cursor %p',
    async (cursor) => {
      expect(await inbox.page(ann, { limit: 1, cursor })).toBe('bad_cursor');
    },
  );

  it('gives conversations in the order asked for, without those one is no member of', async () => {
    const [one, two, three] = [1, 2, 3].map(() => new WrittenConversation([ann])) as [
      WrittenConversation,
      WrittenConversation,
      WrittenConversation,
    ];
    const foreign = new WrittenConversation([bob]);
    await save(one, two, three, foreign);
    const views = await inbox.conversations(ann, [three.id, foreign.id, one.id, two.id]);
    expect(views.map(({ id }) => id)).toEqual([three.id, one.id, two.id]);
    expect(await inbox.conversations(ann, [])).toEqual([]);
  });

  it('says when one was a member, of what one has left, too', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    const left = remove(conversation, bob);
    conversation.send(ann);
    const back = join(conversation, bob);
    conversation.add({ type: 'ConversationChanged', by: ann, settings: { historyVisibility: 'shared' } });
    const gone = remove(conversation, bob);
    await save(conversation, new WrittenConversation([bob]));
    expect(await inbox.head(bob, conversation.id)).toEqual({
      conversationId: conversation.id,
      headSeq: gone,
      activeAt: WRITTEN_FROM + gone * 1_000,
      historyVisibility: 'shared',
      spans: [
        { from: asSeq(0), to: left },
        { from: back, to: gone },
      ],
    });
    expect((await inbox.heads(bob)).items).toHaveLength(2);
    expect(await inbox.head(cid, conversation.id)).toBeUndefined();
    expect((await inbox.head(ann, conversation.id))?.spans).toEqual([{ from: 0, to: undefined }]);
  });

  it('leaves out what has not moved since the cursors of the one who asks, and nothing else', async () => {
    const [still, moved, left, back, unseen] = [1, 2, 3, 4, 5].map(
      () => new WrittenConversation([ann, bob]),
    ) as [
      WrittenConversation,
      WrittenConversation,
      WrittenConversation,
      WrittenConversation,
      WrittenConversation,
    ];
    moved.send(ann);
    const gone = remove(left, bob);
    remove(back, bob);
    const returned = join(back, bob);
    await save(still, moved, left, back, unseen);
    const at = (seq: number) => asSeq(seq);
    const cursors = new Map([
      [still.id, at(0)],
      [moved.id, at(0)],
      [left.id, gone],
      [back.id, returned],
    ]);
    const all = await inbox.heads(bob);
    const some = await inbox.heads(bob, cursors);
    expect(some.leavesOut).toBe(true);
    expect(some.items).toEqual(all.items.filter(({ conversationId }) => conversationId !== still.id));
    // Whole spans, or who is back would look like one who has left.
    expect(some.items.find(({ conversationId }) => conversationId === back.id)?.spans).toHaveLength(2);
    expect((await inbox.heads(bob, new Map([[still.id, at(7)]]))).items).toEqual(all.items);
    // A cursor of what one was never in only shows beside all that one was in.
    expect(await inbox.heads(bob, new Map([...cursors, [new WrittenConversation([ann]).id, at(0)]]))).toEqual(
      all,
    );
    expect(await inbox.heads(bob, new Map())).toEqual(all);
  });

  it('says as of when the heads are, also to one who has none', async () => {
    expect(await inbox.heads(cid)).toEqual({ items: [], asOf: POSITION_START });
    const position = { commit: 12n, prepare: 12n };
    await writeCheckpoints(db.database, new Map([[inboxProjection.name, position]]), {
      group: LIVE_GROUP,
      position,
    });
    await save(new WrittenConversation([ann]));
    expect(await inbox.heads(cid)).toEqual({ items: [], asOf: position });
    expect(await inbox.heads(ann)).toMatchObject({ items: [{ headSeq: 0 }], asOf: position });
  });

  it(`shows ${MEMBERS_IN_VIEW_MAX} members, and pages through all in the order of joining`, async () => {
    const conversation = new WrittenConversation([ann]);
    const late = Array.from({ length: MEMBERS_IN_VIEW_MAX + 5 }, (_, n) => userNamed(`late ${n}`));
    for (const userId of late) join(conversation, userId);
    await save(conversation);
    const view = await inbox.conversation(ann, conversation.id);
    expect(view?.memberCount).toBe(late.length + 1);
    expect(view?.members).toHaveLength(MEMBERS_IN_VIEW_MAX);
    const first = await inbox.members(conversation.id, { limit: 60 });
    const after = first.items.at(-1)?.userId as UserId;
    remove(conversation, after);
    await save(conversation);
    const second = await inbox.members(conversation.id, { limit: 60, after });
    expect([first.hasMore, second.hasMore]).toEqual([true, false]);
    expect([...first.items, ...second.items].map(({ userId }) => userId)).toEqual([ann, ...late]);
    expect(await inbox.members(conversation.id, { limit: 60, after: cid })).toEqual({
      items: [],
      hasMore: false,
    });
  });
});

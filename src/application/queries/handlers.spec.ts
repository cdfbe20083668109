import { startApplication, type TestApplication } from '../../../test/support/application';
import {
  accepted,
  ANNA,
  BEN,
  CARL,
  group,
  send,
  STRANGER,
} from '../../../test/support/conversation-commands';
import type { ConversationCommand } from '../../domain/conversation/commands';
import { conversationStream } from '../../domain/conversation/streams';
import { asConversationId, asDeviceId, asSeq, type ConversationId, type UserId } from '../../kernel/ids';
import { uuidv7 } from '../../kernel/uuid';
import { PAST_SEQ_MAX } from '../past-conversations';
import { READ_EVENTS_MAX } from '../ports/event-log';
import { EVENTS_SCAN_MAX } from '../visible-events';
import * as ask from './queries';

describe('query handlers', () => {
  let app: TestApplication;
  let id: ConversationId;

  const run = async (command: ConversationCommand) => accepted(await app.executor.execute(command));
  const by = (userId: UserId) => ({ conversationId: id, by: userId, at: app.clock.now() });
  const add = (userId: UserId) => run({ type: 'AddMembers', ...by(ANNA), userIds: [userId] });
  const remove = (userId: UserId) => run({ type: 'RemoveMember', ...by(ANNA), userId });

  beforeEach(async () => {
    app = await startApplication();
    const start = group([BEN]);
    id = start.conversationId;
    await run(start);
  });
  afterEach(() => app.context.close());

  const at = (userId: UserId) => ({ userId, conversationId: id });
  const events = (userId: UserId, after?: number, limit = 100) =>
    app.queries.execute(
      new ask.GetEventsQuery({
        ...at(userId),
        limit,
        ...(after === undefined ? {} : { after: asSeq(after) }),
      }),
    );
  const seqs = async (userId: UserId, after?: number, limit?: number) => {
    const result = await events(userId, after, limit);
    return result.kind === 'found' ? result.value.items.map(({ seq }) => seq as number) : result.refusal.code;
  };
  const refusal = (code: string, field?: string) => ({
    kind: 'refused',
    refusal: { code, ...(field === undefined ? {} : { field }) },
  });
  /** Every query about one conversation. */
  const all = (
    userId: UserId,
    conversationId: ConversationId,
    more: { minSeq?: ReturnType<typeof asSeq> } = {},
  ) => {
    const base = { userId, conversationId, ...more };
    return Promise.all([
      app.queries.execute(new ask.GetConversationQuery(base)),
      app.queries.execute(new ask.GetMembersQuery({ ...base, limit: 10 })),
      app.queries.execute(new ask.GetReceiptsQuery({ ...base, seq: asSeq(0) })),
      app.queries.execute(new ask.GetMessagesQuery({ ...base, limit: 10 })),
      app.queries.execute(new ask.GetMessageQuery({ ...base, seq: asSeq(0) })),
      app.queries.execute(new ask.GetVersionsQuery({ ...base, seq: asSeq(0), limit: 10 })),
      app.queries.execute(new ask.GetConversationAtQuery({ ...base, at: asSeq(0) })),
      app.queries.execute(new ask.GetEventsQuery({ ...base, limit: 10 })),
    ]);
  };

  describe('who may ask', () => {
    it('answers strangers as if there were no such conversation, at once and in the same words', async () => {
      const minSeq = asSeq(0);
      const strange = await all(STRANGER, id, { minSeq });
      const missing = await all(STRANGER, asConversationId(uuidv7()), { minSeq });
      for (const result of strange) expect(result).toMatchObject(refusal('not_found'));
      expect(strange.map((result) => JSON.stringify(result))).toEqual(missing.map((r) => JSON.stringify(r)));
      expect(app.progress.waits).toEqual([]);
    });

    it('answers members', async () => {
      for (const result of await all(BEN, id)) expect(result).toMatchObject({ kind: 'found' });
    });

    it('shows those who were removed their own time, and nothing of the present', async () => {
      await remove(BEN);
      const [conversation, members, receipts, messages, message, versions, past, log] = await all(BEN, id);
      for (const result of [conversation, members, receipts]) {
        expect(result).toMatchObject(refusal('not_found'));
      }
      for (const result of [messages, message, versions, past, log])
        expect(result).toMatchObject({ kind: 'found' });
      expect(app.history.queries.at(-1)?.visible).toEqual([{ from: 0, to: 1 }]);
      expect(app.history.asked).toEqual([[{ from: 0, to: 1 }], [{ from: 0, to: 1 }]]);
      const later = { ...at(BEN), seq: asSeq(2), limit: 10 };
      for (const query of [new ask.GetMessageQuery(later), new ask.GetVersionsQuery(later)]) {
        expect(await app.queries.execute(query)).toMatchObject(refusal('not_found'));
      }
    });

    it('closes what is visible where memberships are known up to', async () => {
      await app.queries.execute(new ask.GetMessagesQuery({ ...at(BEN), limit: 10 }));
      expect(app.history.queries.at(-1)?.visible).toEqual([{ from: 0, to: 0 }]);
    });
  });

  describe('GetEvents', () => {
    const talk = async (count: number) => {
      for (let n = 0; n < count; n++) await run(send(id));
    };

    it('pages through the log', async () => {
      await talk(4);
      expect(await events(ANNA, undefined, 2)).toMatchObject({ value: { hasMore: true, next: 1 } });
      expect(await seqs(ANNA, 1, 2)).toEqual([2, 3]);
      expect(await events(ANNA, 3, 2)).toMatchObject({ value: { items: [{ seq: 4 }], hasMore: false } });
      expect(await events(ANNA, 4)).toMatchObject({ value: { items: [], hasMore: false } });
      expect(await events(ANNA, 5)).toMatchObject(refusal('invalid_input', 'after'));
    });

    it('shows exactly the times of membership, with a live read model or one that stands still', async () => {
      await talk(1); // 1
      await add(CARL); // 2
      await talk(1); // 3
      await app.inbox.folded.catchUp();
      app.inbox.folded.mode = 'stuck';
      expect(await seqs(CARL)).toEqual([2, 3]);
      await remove(CARL); // 4
      await talk(2); // 5, 6
      expect(await seqs(CARL)).toEqual([2, 3, 4]);
      expect(await seqs(CARL, 4)).toEqual([]);
      expect(await seqs(CARL, 5)).toEqual([]);
      app.inbox.folded.mode = 'live';
      expect(await seqs(CARL)).toEqual([2, 3, 4]);
      app.inbox.folded.mode = 'stuck';
      await add(CARL); // 7
      await talk(1); // 8
      // What coming back opens is the read model's to say: the page ends before, and says that there is more.
      expect(await events(CARL)).toMatchObject({ value: { hasMore: true, next: 6 } });
      app.inbox.folded.mode = 'live';
      expect(await seqs(CARL)).toEqual([2, 3, 4, 7, 8]);
      expect(await seqs(ANNA)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    });

    it('shows what one has just made, before any read model knows', async () => {
      app.inbox.folded.mode = 'stuck';
      const start = group([BEN]);
      await run(start);
      id = start.conversationId;
      expect(await seqs(BEN)).toEqual([0]);
    });

    it('opens the past when the conversation shares its history', async () => {
      await talk(1);
      await run({ type: 'ChangeConversation', ...by(ANNA), settings: { historyVisibility: 'shared' } });
      await add(CARL);
      expect(await seqs(CARL)).toEqual([0, 1, 2, 3]);
    });

    it('shows receipts of large groups to those they concern', async () => {
      const many = Array.from({ length: 40 }, () => uuidv7() as UserId);
      await run({ type: 'AddMembers', ...by(ANNA), userIds: many });
      const head = (await app.executor.state(id))?.head ?? 0;
      await run({ type: 'RecordRead', ...by(BEN), cursors: [{ userId: BEN, upTo: asSeq(1) }] });
      expect(await seqs(BEN, head)).toEqual([head + 1]);
      expect(await events(ANNA, head)).toMatchObject({ value: { items: [], hasMore: false } });
    });

    it('says that events are gone, instead of leaving them out', async () => {
      await talk(4);
      await app.memory.setMaxCount(conversationStream(id), 2);
      expect(await seqs(ANNA)).toBe('cursor_truncated');
      expect(await seqs(ANNA, 1)).toBe('cursor_truncated');
      expect(await seqs(ANNA, 2)).toEqual([3, 4]);
    });

    it(`looks at ${EVENTS_SCAN_MAX} events at most, and says where it stopped`, async () => {
      await app.inbox.folded.catchUp();
      app.inbox.folded.mode = 'stuck';
      const sent = EVENTS_SCAN_MAX + 10;
      for (let n = 0; n < sent; n += 500) {
        const batch = Array.from({ length: Math.min(500, sent - n) }, () => app.executor.execute(send(id)));
        for (const outcome of await Promise.all(batch)) accepted(outcome);
      }
      // The read model stands at 0: the end of the log is too far from what is known of memberships.
      expect(await events(ANNA, sent - 1)).toMatchObject(refusal('unavailable'));
      expect(await events(ANNA, undefined, 20_000)).toMatchObject({
        value: { hasMore: true, next: EVENTS_SCAN_MAX - 1 },
      });
      app.inbox.folded.mode = 'live';
      expect(await seqs(ANNA, sent - 1)).toEqual([sent]);
    });
  });

  describe('GetConversationAt', () => {
    const then = (userId: UserId, seq: number) =>
      app.queries.execute(new ask.GetConversationAtQuery({ ...at(userId), at: asSeq(seq) }));

    it('folds the log up to there, and no further', async () => {
      await run({
        type: 'ChangeConversation',
        ...by(ANNA),
        title: 'First',
        settings: { whoMayPost: 'admins' },
      });
      await add(CARL); // 2
      await run({ type: 'ChangeRole', ...by(ANNA), userId: CARL, role: 'admin' }); // 3
      await remove(BEN); // 4
      await run({ type: 'ChangeConversation', ...by(ANNA), title: 'Second' }); // 5
      await run(send(id)); // 6
      const members = async (seq: number) => {
        const result = await then(ANNA, seq);
        if (result.kind !== 'found') return result.refusal.code;
        const { title, settings, memberCount, asOf, lastOrdinal } = result.value;
        const roles = result.value.members.map(({ userId, role }) => [userId, role]);
        return [{ title, memberCount, asOf, lastOrdinal, whoMayPost: settings.whoMayPost }, ...roles];
      };
      const first = { title: 'First', whoMayPost: 'admins', lastOrdinal: 0 };
      const [anna, ben] = [
        [ANNA, 'owner'],
        [BEN, 'member'],
      ];
      expect(await members(1)).toEqual([{ ...first, memberCount: 2, asOf: 1 }, anna, ben]);
      expect(await members(2)).toEqual([{ ...first, memberCount: 3, asOf: 2 }, anna, ben, [CARL, 'member']]);
      expect(await members(4)).toEqual([{ ...first, memberCount: 2, asOf: 4 }, anna, [CARL, 'admin']]);
      const now = { title: 'Second', memberCount: 2, asOf: 6, lastOrdinal: 1, whoMayPost: 'admins' };
      expect(await members(6)).toEqual([now, anna, [CARL, 'admin']]);
      expect(await members(7)).toBe('not_found');
      // Each within their own times.
      expect(await then(BEN, 4)).toMatchObject({ kind: 'found' });
      expect(await then(BEN, 5)).toMatchObject(refusal('not_found'));
      expect(await then(CARL, 1)).toMatchObject(refusal('not_found'));
    });

    it('names at most a hundred members, reads page by page, and says what is no longer kept', async () => {
      const many = Array.from({ length: 150 }, () => uuidv7() as UserId);
      await run({ type: 'AddMembers', ...by(ANNA), userIds: many });
      const crowd = await then(ANNA, 150);
      expect(crowd).toMatchObject({ value: { memberCount: 152, asOf: 150 } });
      expect(crowd).toHaveProperty('value.members.length', 100);
      const far = READ_EVENTS_MAX + 5;
      for (let n = 150; n <= far; n += 500) {
        const batch = Array.from({ length: 500 }, () => app.executor.execute(send(id)));
        for (const outcome of await Promise.all(batch)) accepted(outcome);
      }
      expect(await then(ANNA, far)).toMatchObject({ value: { asOf: far, lastOrdinal: far - 150 } });
      await app.memory.setMaxCount(conversationStream(id), 10);
      expect(await then(ANNA, 150)).toMatchObject(refusal('cursor_truncated', 'at'));
    });

    it(`goes as far as ${PAST_SEQ_MAX}, and no further`, async () => {
      jest.spyOn(app.inbox, 'head').mockResolvedValue({
        conversationId: id,
        headSeq: asSeq(PAST_SEQ_MAX + 1),
        activeAt: app.clock.now(),
        historyVisibility: 'joined',
        spans: [{ from: asSeq(0), to: undefined }],
      });
      expect(await then(ANNA, PAST_SEQ_MAX + 1)).toMatchObject(refusal('invalid_input', 'at'));
      expect(await then(ANNA, PAST_SEQ_MAX)).toMatchObject(refusal('not_found'));
    });
  });

  describe('minSeq', () => {
    it('waits for the read model, then answers from it', async () => {
      await app.inbox.folded.catchUp();
      app.inbox.folded.mode = 'stuck';
      await add(CARL);
      app.progress.meanwhile = () => app.inbox.folded.catchUp();
      const query = new ask.GetConversationQuery({ ...at(CARL), minSeq: asSeq(1) });
      expect(await app.queries.execute(query)).toMatchObject({ kind: 'found' });
      expect(app.progress.waits).toEqual([1]);
    });

    it('gives up as retryable', async () => {
      app.progress.arrives = false;
      const results = await all(ANNA, id, { minSeq: asSeq(7) });
      for (const result of results.slice(0, 7)) expect(result).toMatchObject(refusal('unavailable'));
    });
  });

  it('gathers the cursors of a user’s devices', async () => {
    const cursor = (userId: UserId, device: string, upTo: number) => ({
      userId,
      deviceId: asDeviceId(device),
      upTo: asSeq(upTo),
    });
    app.cursors.view = {
      delivered: [cursor(BEN, 'a', 3), cursor(CARL, 'b', 1), cursor(BEN, 'c', 5), cursor(BEN, 'd', 4)],
      read: [{ userId: BEN, upTo: asSeq(2) }],
    };
    const query = new ask.GetReceiptsQuery({ ...at(ANNA), seq: asSeq(0) });
    expect(await app.queries.execute(query)).toEqual({
      kind: 'found',
      value: {
        delivered: [
          { userId: BEN, upTo: 5 },
          { userId: CARL, upTo: 1 },
        ],
        read: [{ userId: BEN, upTo: 2 }],
      },
    });
  });

  it('refuses forged cursors and two places at once', async () => {
    const inbox = (cursor?: string) =>
      app.queries.execute(new ask.GetInboxQuery({ userId: ANNA, limit: 10, ...(cursor ? { cursor } : {}) }));
    expect(await inbox()).toMatchObject({ kind: 'found' });
    expect(await inbox('forged')).toMatchObject(refusal('invalid_input', 'cursor'));
    const two = new ask.GetMessagesQuery({ ...at(ANNA), limit: 10, before: asSeq(3), after: asSeq(1) });
    expect(await app.queries.execute(two)).toMatchObject(refusal('invalid_input', 'before'));
  });

  it('answers as retryable while a store is down', async () => {
    app.inbox.folded.mode = 'down';
    for (const result of await all(ANNA, id)) expect(result).toMatchObject(refusal('unavailable'));
    expect(await app.queries.execute(new ask.GetInboxQuery({ userId: ANNA, limit: 1 }))).toMatchObject(
      refusal('unavailable'),
    );
    app.inbox.folded.mode = 'live';
    app.log.isDown = true;
    expect(await events(ANNA)).toMatchObject(refusal('unavailable'));
  });
});

import { randomUUID } from 'node:crypto';
import { ParleyApi, type Session } from '../../sdk/node';
import { startTestNode, type TestNode } from '../support/test-node';

/** Every method of the SDK's REST side, against a real node. */
describe('ParleyApi', () => {
  let node: TestNode;
  let ann: ParleyApi;
  let bob: ParleyApi;
  const password = 'correct horse battery';

  const signUp = async (name: string, options: object = {}): Promise<ParleyApi> => {
    const api = new ParleyApi({ url: node.url, ...options });
    await api.register({ username: `${name}-${randomUUID().slice(0, 8)}`, password, displayName: name });
    return api;
  };
  const idOf = (api: ParleyApi): string => api.session?.user.id ?? '';
  const text = (body: string) => ({ type: 'text' as const, body });

  beforeAll(async () => {
    node = await startTestNode({ rateLimits: false });
  });
  afterAll(() => node.stop());
  beforeEach(async () => {
    [ann, bob] = await Promise.all([signUp('ann'), signUp('bob')]);
  });

  it('signs up, in, on and out, and tells whoever keeps the session', async () => {
    const kept: (Session | undefined)[] = [];
    const api = await signUp('cid', { onSession: (session: Session | undefined) => kept.push(session) });
    const first = api.session as Session;
    const { username } = first.user;
    const again = new ParleyApi({ url: node.url });
    expect((await again.login({ username, password })).user.id).toBe(first.user.id);
    await expect(again.login({ username, password: 'wrong horse battery' })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
    const [one, other] = await Promise.all([api.refresh(), api.refresh()]);
    // The token works once, so two who ask at one time share what one of them gets.
    expect(one).toBe(other);
    expect(one.refreshToken).not.toBe(first.refreshToken);
    expect(await api.token({ renew: false })).toBe(one.accessToken);
    expect(await api.me()).toMatchObject({ id: first.user.id, displayName: 'cid' });
    await api.logout();
    expect(kept).toEqual([first, one, undefined]);
    await expect(api.me()).rejects.toMatchObject({ code: 'unauthenticated' });
    // Signed out here, not on the other device.
    expect(await again.me()).toMatchObject({ id: first.user.id });
    const thief = new ParleyApi({ url: node.url, session: one });
    await expect(thief.refresh()).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(signUp('x'.repeat(40))).rejects.toMatchObject({ code: 'invalid_input' });
  });

  it('ends a family of which an old refresh token is shown', async () => {
    const stolen = ann.session as Session;
    await ann.refresh();
    const thief = new ParleyApi({ url: node.url, session: stolen });
    await expect(thief.refresh()).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(ann.refresh()).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('finds people', async () => {
    expect(await ann.user(idOf(bob))).toEqual(await bob.user(idOf(bob)));
    const { items } = await ann.users(bob.session?.user.username ?? '');
    expect(items.map(({ id }) => id)).toEqual([idOf(bob)]);
    await expect(ann.user(randomUUID())).rejects.toMatchObject({ code: 'not_found', retryable: false });
  });

  it('pages through members and conversations without leaving out or repeating any', async () => {
    const others = await Promise.all(Array.from({ length: 7 }, (_, n) => signUp(`member${n}`)));
    const memberIds = others.map(idOf);
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      ids.push((await ann.createConversation({ kind: 'group', title: `g${n}`, memberIds })).id);
    }
    const all = async <T>(
      page: (cursor?: string) => Promise<{ items: readonly T[]; nextCursor?: string }>,
    ) => {
      const found: T[] = [];
      let cursor: string | undefined;
      do {
        const { items, nextCursor } = await page(cursor);
        found.push(...items);
        cursor = nextCursor;
      } while (cursor !== undefined);
      return found;
    };
    const after = (cursor?: string) => (cursor === undefined ? {} : { cursor });
    const members = await all((cursor) => ann.members(ids[0] ?? '', { limit: 3, ...after(cursor) }));
    expect(members.map(({ userId }) => userId).sort()).toEqual([...memberIds, idOf(ann)].sort());
    const mine = await all((cursor) => ann.conversations({ limit: 2, ...after(cursor) }));
    expect(mine.map(({ id }) => id)).toEqual(ids.reverse());
  });

  it('writes, reads, counts, adds and removes', async () => {
    const { id } = await ann.createConversation({ kind: 'group', title: 'tea', memberIds: [] });
    const added = (await ann.addMembers(id, [idOf(bob)])) as { seq: number };
    expect(await bob.conversation(id, { minSeq: added.seq })).toMatchObject({ title: 'tea', memberCount: 2 });
    const key = randomUUID();
    const sent = await ann.sendMessage(id, key, text('hello'));
    expect(await ann.sendMessage(id, key, text('hello'))).toEqual({ ...sent, duplicate: true });
    expect(await bob.conversation(id, { minSeq: sent.seq })).toMatchObject({ unreadCount: 1 });
    const read = (await bob.markRead(id, sent.seq)) as { seq: number };
    expect(await bob.conversation(id, { minSeq: read.seq })).toMatchObject({ unreadCount: 0 });
    const { items } = await bob.messages(id, { around: sent.seq, limit: 3 });
    expect(items).toMatchObject([{ clientMessageId: key, content: text('hello') }]);
    const events = await bob.events(id, { after: sent.seq - 1, limit: 1 });
    expect(events).toMatchObject({ items: [{ event: 'message.sent' }], hasMore: true });
    const removed = (await bob.removeMember(id, idOf(bob))) as { seq: number };
    expect(await ann.conversation(id, { minSeq: removed.seq })).toMatchObject({ memberCount: 1 });
    expect((await bob.conversations()).items).toEqual([]);
  });

  it('has one direct conversation for two people, whoever begins', async () => {
    const one = await ann.createConversation({ kind: 'direct', memberIds: [idOf(bob)] });
    const other = await bob.createConversation({ kind: 'direct', memberIds: [idOf(ann)] });
    expect(other.id).toBe(one.id);
  });
});

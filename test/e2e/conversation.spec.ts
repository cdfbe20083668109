import { randomUUID } from 'node:crypto';
import { call, registerUser, type TestUser } from '../support/rest';
import { RawDevice, type Frame } from '../support/raw-device';
import { startTestNode, type TestNode } from '../support/test-node';

/** What a stranger with the protocol in hand does: registers, chats, reconnects, pages through history. */
describe('a conversation, from outside', () => {
  let node: TestNode;
  let ann: TestUser;
  let bob: TestUser;

  beforeAll(async () => {
    node = await startTestNode();
  });
  afterAll(async () => {
    await node.stop();
  });
  beforeEach(async () => {
    ann = await registerUser(node.url, 'ann');
    bob = await registerUser(node.url, 'bob');
  });

  const device = (user: TestUser, deviceId?: string): Promise<RawDevice> =>
    RawDevice.signIn(node.url, user.token, {
      inspect: node.inspectFrame,
      ...(deviceId === undefined ? {} : { deviceId }),
    });
  const text = (body: string): object => ({ type: 'text', body });
  const send = (from: RawDevice, data: object): Promise<Frame> =>
    from.request('message.send', { clientMessageId: randomUUID(), ...data });
  const group = async (owner: TestUser, ...members: TestUser[]): Promise<string> => {
    const { status, body } = await call(node.url, 'POST', '/api/v1/conversations', {
      token: owner.token,
      body: { kind: 'group', title: 'tea', memberIds: members.map(({ id }) => id) },
    });
    expect(status).toBe(201);
    return (body as { id: string }).id;
  };

  it('carries a message to the other one, acknowledged with its place', async () => {
    const [a, b] = [await device(ann), await device(bob)];
    const ack = await send(a, { to: bob.id, content: text('hello') });
    expect(ack.event).toBe('message.ack');
    expect(ack.data).toMatchObject({ ordinal: 1, duplicate: false });
    const pushed = await b.waitFor((f) => f.event === 'message.sent', 'push to bob');
    expect(pushed.data).toMatchObject({
      conversationId: ack.data['conversationId'],
      seq: ack.data['seq'],
      by: ann.id,
      content: text('hello'),
    });
    await a.waitFor((f) => f.event === 'message.sent', 'push to the sender, too');
    await Promise.all([a.close(), b.close()]);
  });

  it('stores a retried message once, and refuses the key for another text', async () => {
    const a = await device(ann);
    const key = randomUUID();
    const first = await a.request('message.send', {
      to: bob.id,
      clientMessageId: key,
      content: text('once'),
    });
    const again = await a.request('message.send', {
      to: bob.id,
      clientMessageId: key,
      content: text('once'),
    });
    expect(again.data).toEqual({ ...first.data, duplicate: true });
    const other = await a.request('message.send', {
      to: bob.id,
      clientMessageId: key,
      content: text('twice'),
    });
    expect(other.event).toBe('error');
    expect(other.data).toMatchObject({ code: 'client_message_id_reused', status: 409, retryable: false });
    await a.close();
  });

  it('gives a device that was away exactly what it missed', async () => {
    const a = await device(ann);
    const first = await send(a, { to: bob.id, content: text('1') });
    const conversationId = first.data['conversationId'] as string;
    const b = await device(bob, 'phone');
    const { pages } = await b.sync({});
    const had = pages.flatMap((page) => page.data['conversations'] as SyncedConversation[]);
    const head = had.find((c) => c.conversationId === conversationId)?.headSeq ?? -1;
    await b.close();
    for (const body of ['2', '3', '4']) await send(a, { conversationId, content: text(body) });
    const back = await device(bob, 'phone');
    const after = await back.sync({ cursors: { [conversationId]: head } });
    const events = after.pages
      .flatMap((page) => page.data['conversations'] as SyncedConversation[])
      .flatMap((c) => c.events);
    const missed = [...events, ...back.frames.filter((f) => f.id === undefined)].filter(
      (f) => f.event === 'message.sent',
    );
    const bodies = new Map(missed.map((f) => [f.data['seq'], (f.data['content'] as { body: string }).body]));
    expect([...bodies.values()]).toEqual(['2', '3', '4']);
    await Promise.all([a.close(), back.close()]);
  });

  it('shows edits, reactions and deletions in history as they now are', async () => {
    const a = await device(ann);
    const id = await group(ann, bob);
    const one = await send(a, { conversationId: id, content: text('helo') });
    const two = await send(a, { conversationId: id, content: text('oops') });
    const target = one.data['seq'] as number;
    const b = await device(bob);
    await a.request('message.edit', { conversationId: id, target, content: text('hello') });
    await b.request('reaction.set', { conversationId: id, target, emoji: '👍', on: true });
    const last = await a.request('message.delete', {
      conversationId: id,
      target: two.data['seq'],
      scope: 'everyone',
    });
    const page = await call(
      node.url,
      'GET',
      `/api/v1/conversations/${id}/messages?minSeq=${String(last.data['seq'])}`,
      { token: bob.token },
    );
    expect(page.status).toBe(200);
    expect(page.body).toMatchObject({
      hasMore: false,
      items: [
        {
          seq: target,
          content: text('hello'),
          version: 2,
          reactions: [{ emoji: '👍', count: 1, mine: true }],
        },
        { seq: two.data['seq'], content: null },
      ],
    });
    await Promise.all([a.close(), b.close()]);
  });

  it('counts unread messages as the log says, and clears them on reading', async () => {
    const a = await device(ann);
    const id = await group(ann, bob);
    let seq = 0;
    for (const body of ['1', '2', '3']) {
      seq = (await send(a, { conversationId: id, content: text(body) })).data['seq'] as number;
    }
    const inbox = async (minSeq: number): Promise<{ unreadCount: number; readUpTo: number }> => {
      const { body } = await call(node.url, 'GET', `/api/v1/conversations/${id}?minSeq=${minSeq}`, {
        token: bob.token,
      });
      return body;
    };
    expect(await inbox(seq)).toMatchObject({ unreadCount: 3 });
    const read = await call(node.url, 'POST', `/api/v1/conversations/${id}/read`, {
      token: bob.token,
      body: { upTo: seq - 1 },
    });
    expect(read.status).toBe(200);
    expect(await inbox((read.body as { seq: number }).seq)).toMatchObject({
      unreadCount: 1,
      readUpTo: seq - 1,
    });
    await a.close();
  });

  it('lets a message disappear when its time is over, on devices, in history and in counts', async () => {
    const [a, b] = [await device(ann), await device(bob)];
    const id = await group(ann, bob);
    const { status } = await call(node.url, 'PATCH', `/api/v1/conversations/${id}`, {
      token: ann.token,
      body: { settings: { disappearAfterSeconds: 1 } },
    });
    expect(status).toBe(200);
    const target = (await send(a, { conversationId: id, content: text('read quickly') })).data['seq'];
    const sent = await b.waitFor((f) => f.event === 'message.sent' && f.data['seq'] === target);
    expect(sent.data['expiresAt']).toBe(
      new Date(Date.parse(sent.data['at'] as string) + 1_000).toISOString(),
    );
    const gone = await b.waitFor((f) => f.event === 'message.deleted', 'the end of it');
    expect(gone.data).toMatchObject({ target, by: '00000000-0000-0000-0000-000000000000' });
    const seen = { token: bob.token };
    const at = `minSeq=${Number(gone.data['seq'])}`;
    const { body } = await call(node.url, 'GET', `/api/v1/conversations/${id}?${at}`, seen);
    expect(body).toMatchObject({ unreadCount: 0 });
    const page = await call(node.url, 'GET', `/api/v1/conversations/${id}/messages?${at}`, seen);
    expect(page.body).toMatchObject({ items: [{ seq: target, content: null }] });
    await Promise.all([a.close(), b.close()]);
  });

  it('sends a removed member its removal and nothing after, in any way', async () => {
    const [a, b] = [await device(ann), await device(bob)];
    const id = await group(ann, bob);
    await send(a, { conversationId: id, content: text('before') });
    const removal = await call(node.url, 'DELETE', `/api/v1/conversations/${id}/members/${bob.id}`, {
      token: ann.token,
    });
    expect(removal.status).toBe(200);
    const after = await send(a, { conversationId: id, content: text('after') });
    await a.waitFor((f) => f.event === 'message.sent' && f.data['seq'] === after.data['seq']);
    await b.waitFor((f) => f.event === 'membership.changed' && f.data['change'] === 'removed');
    // A sentinel over another conversation: what was pushed before it has arrived when it has.
    await send(a, { to: bob.id, content: text('sentinel') });
    await b.waitFor((f) => (f.data['content'] as { body?: string } | undefined)?.body === 'sentinel');
    const seen = JSON.stringify(b.frames.filter((f) => f.data['conversationId'] === id));
    expect(seen).toContain('"before"');
    expect(seen).not.toContain('"after"');
    expect((await send(b, { conversationId: id, content: text('still here') })).data).toMatchObject({
      status: 403,
      code: 'not_a_member',
    });
    const history = await call(node.url, 'GET', `/api/v1/conversations/${id}/messages`, {
      token: bob.token,
    });
    expect(JSON.stringify(history.body)).not.toContain('"after"');
    await Promise.all([a.close(), b.close()]);
  });

  it('does not tell a stranger whether a conversation exists', async () => {
    const id = await group(ann);
    const b = await device(bob);
    const theirs = await send(b, { conversationId: id, content: text('hi') });
    const nobodys = await send(b, { conversationId: randomUUID(), content: text('hi') });
    expect(theirs.data).toMatchObject({ code: 'not_found', status: 404 });
    const { traceId: _one, ...first } = theirs.data;
    const { traceId: _two, ...second } = nobodys.data;
    expect(first).toEqual(second);
    for (const path of ['', '/messages', '/events', '/members']) {
      const { status } = await call(node.url, 'GET', `/api/v1/conversations/${id}${path}`, {
        token: bob.token,
      });
      expect([path, status]).toEqual([path, 404]);
    }
    await b.close();
  });

  it('pages through history in both directions without a gap', async () => {
    const a = await device(ann);
    const id = await group(ann);
    const seqs: number[] = [];
    for (let n = 0; n < 25; n++) {
      seqs.push((await send(a, { conversationId: id, content: text(`m${n}`) })).data['seq'] as number);
    }
    const walk = async (direction: 'before' | 'after', start: number): Promise<number[]> => {
      const found: number[] = [];
      let at = start;
      for (;;) {
        const { body } = await call(
          node.url,
          'GET',
          `/api/v1/conversations/${id}/messages?limit=4&${direction}=${at}&minSeq=${seqs.at(-1) ?? 0}`,
          { token: ann.token },
        );
        const page = body as { items: { seq: number }[]; hasMore: boolean };
        const here = page.items.map(({ seq }) => seq);
        expect(here).toEqual([...here].sort((x, y) => x - y));
        found.push(...here);
        at = (direction === 'before' ? here[0] : here.at(-1)) ?? at;
        if (!page.hasMore) return found.sort((x, y) => x - y);
      }
    };
    expect(await walk('before', (seqs.at(-1) ?? 0) + 1)).toEqual(seqs);
    expect(await walk('after', 0)).toEqual(seqs);
    await a.close();
  });
});

interface SyncedConversation {
  readonly conversationId: string;
  readonly headSeq: number;
  readonly events: Frame[];
}

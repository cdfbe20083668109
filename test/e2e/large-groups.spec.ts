import { randomUUID } from 'node:crypto';
import { DEFAULT_LIMITS } from '../../src/protocol/limits';
import { createCrowd, CrowdDevice, until, type CrowdMember } from '../support/crowd';
import { RawDevice, type Frame } from '../support/raw-device';
import { call } from '../support/rest';
import { startTestNode, type TestNode } from '../support/test-node';

interface Receipts {
  readonly delivered: readonly { readonly userId: string; readonly upTo: number }[];
  readonly read: readonly { readonly userId: string; readonly upTo: number }[];
}

describe('large groups, on one machine', () => {
  let node: TestNode;

  beforeAll(async () => {
    node = await startTestNode({ limits: { ...DEFAULT_LIMITS, membersMax: 2_100 } });
  });
  afterAll(async () => {
    await node.stop();
  });

  const post = async (by: CrowdMember, path: string, body: object): Promise<Record<string, unknown>> => {
    const answer = await call(node.url, 'POST', path, { token: by.token, body });
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const group = async (owner: CrowdMember, others: readonly CrowdMember[]): Promise<string> => {
    const memberIds = others.map(({ id }) => id);
    const started = await post(owner, '/api/v1/conversations', { kind: 'group', title: 'all', memberIds });
    return String(started['id']);
  };
  const get = async <T>(by: CrowdMember, path: string): Promise<T> => {
    const { status, body } = await call(node.url, 'GET', path, { token: by.token });
    expect(status).toBe(200);
    return body;
  };
  const device = (member: CrowdMember): Promise<RawDevice> =>
    RawDevice.signIn(node.url, member.token, { inspect: node.inspectFrame });
  const say = (from: RawDevice, conversationId: string, body: string): Promise<Frame> =>
    from.request('message.send', {
      conversationId,
      clientMessageId: randomUUID(),
      content: { type: 'text', body },
    });

  it('carries a message to 1,000 devices online, and every receipt back', async () => {
    const crowd = await createCrowd(node, 1_000);
    const [owner, ...others] = crowd as [CrowdMember, ...CrowdMember[]];
    const id = await group(owner, others);
    const ann = await device(owner);
    const devices = await CrowdDevice.openAll(node.url, others);
    const ack = await say(ann, id, 'hello, all');
    const { seq } = ack.data as { seq: number };
    const has = (one: CrowdDevice): boolean => one.of('message.sent').some(({ data }) => data['seq'] === seq);
    await until('the last device has it', () => devices.every(has));

    for (const one of devices) one.send('delivered', { cursors: { [id]: seq } });
    for (const one of devices) one.send('read', { conversationId: id, upTo: seq });
    await until('everybody is told of their own reading', () =>
      devices.every((one) => one.of('message.read').length > 0),
    );
    const receipts = `/api/v1/conversations/${id}/messages/${seq}/receipts`;
    const [someone] = others as [CrowdMember];
    await until('all receipts are there', async () => {
      const { read, delivered } = await get<Receipts>(someone, receipts);
      return read.length === crowd.length && delivered.length === others.length;
    });
    await ann.waitFor(
      ({ event, data }) => event === 'receipt.summary' && data['read'] === crowd.length,
      'the summary of all',
    );
    const last = ann.pushes('receipt.summary').at(-1);
    expect(last?.data).toEqual({
      conversationId: id,
      seq,
      delivered: crowd.length,
      read: crowd.length,
      members: crowd.length,
    });
    for (const one of devices) {
      const cursors = one.of('message.read').flatMap(({ data }) => data['cursors']);
      expect(cursors).toEqual([{ userId: one.member.id, upTo: seq }]);
      expect(one.of('message.delivered')).toEqual([]);
      expect(one.of('error')).toEqual([]);
    }
    const view = await get<{ unreadCount: number; memberCount: number }>(
      someone,
      `/api/v1/conversations/${id}?minSeq=${seq}`,
    );
    expect(view).toMatchObject({ unreadCount: 0, memberCount: crowd.length });
    for (const one of devices) one.close();
    await ann.close();
  });

  it('above 1,000 members, lets devices that look have it live, and the others find it all', async () => {
    const crowd = await createCrowd(node, 2_001);
    const [owner, second, ...others] = crowd as [CrowdMember, CrowdMember, ...CrowdMember[]];
    const id = await group(owner, [second, ...others.slice(0, 999)]);
    const [ann, ben] = [await device(owner), await device(second)];
    await ann.request('focus', { conversationId: id });
    await ben.sync();
    // A thousand at once: one append, one request.
    await post(owner, `/api/v1/conversations/${id}/members`, {
      userIds: others.slice(999).map(({ id: userId }) => userId),
    });
    const ack = await say(ann, id, 'who sees this?');
    const { seq } = ack.data as { seq: number };
    await ann.waitFor(({ event, data }) => event === 'message.sent' && data['seq'] === seq, 'the push');
    await ben.waitFor(
      ({ event, data }) =>
        event === 'conversation.activity' && data['headSeq'] === seq && data['headOrdinal'] === 1,
      'the hint',
    );
    expect(ben.pushes('message.sent')).toEqual([]);
    expect(ben.pushes('membership.changed')).toEqual([]);

    await ben.request('focus', { conversationId: id });
    await ben.waitFor(({ event }) => event === 'resync', 'the word that something was withheld');
    const { pages } = await ben.sync({ cursors: { [id]: 0 }, window: 1_000 });
    // In several parts, for a thousand joinings are more than a page.
    const parts = pages.flatMap(
      ({ data }) => data['conversations'] as { events: { event: string }[]; headSeq: number }[],
    );
    expect(parts.at(-1)?.headSeq).toBe(seq);
    expect(parts.at(-1)?.events.at(-1)?.event).toBe('message.sent');
    const next = (await say(ann, id, 'and this?')).data as { seq: number };
    await ben.waitFor(({ event, data }) => event === 'message.sent' && data['seq'] === next.seq, 'the push');
    const view = await get<{ memberCount: number }>(second, `/api/v1/conversations/${id}?minSeq=${next.seq}`);
    expect(view.memberCount).toBe(crowd.length);
    await Promise.all([ann.close(), ben.close()]);
  });
});

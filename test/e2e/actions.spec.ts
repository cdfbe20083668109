import type { ParleyClient } from '../../sdk/node';
import { call } from '../support/rest';
import { connectedDevice, eventually, signUp, type SdkDevice } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';
import { verifyAction } from '../support/verify-action';

/** Each thing one can do, held to one rule: state + events = a fresh fetch, on every device of everybody. */
describe('every action leaves every device with what a fresh one fetches', () => {
  let node: TestNode;
  /** Two devices of ann, two of bob, one of cid. */
  let phone: SdkDevice;
  let laptop: SdkDevice;
  let bob: SdkDevice;
  let tablet: SdkDevice;
  let cid: SdkDevice;
  let everybody: readonly SdkDevice[];

  beforeAll(async () => {
    node = await startTestNode({ rateLimits: false });
  });
  afterAll(() => node.stop());

  beforeEach(async () => {
    const [annApi, bobApi, cidApi] = await Promise.all(
      ['ann', 'bob', 'cid'].map((name) => signUp(node.url, name)),
    );
    if (annApi === undefined || bobApi === undefined || cidApi === undefined) throw new Error('no accounts');
    [phone, laptop, bob, tablet, cid] = await Promise.all([
      connectedDevice(node.url, annApi, "ann's phone"),
      connectedDevice(node.url, annApi, "ann's laptop"),
      connectedDevice(node.url, bobApi, "bob's phone"),
      connectedDevice(node.url, bobApi, "bob's tablet"),
      connectedDevice(node.url, cidApi, "cid's phone"),
    ]);
    everybody = [phone, laptop, bob, tablet, cid];
  });
  afterEach(async () => {
    const errors = everybody.flatMap(({ name, errors }) =>
      errors.map((error) => `${name}: ${String(error)}`),
    );
    await Promise.all(everybody.map(({ client }) => client.close()));
    expect(errors).toEqual([]);
  });

  const verified = <T>(action: () => Promise<T>): Promise<T> => verifyAction(node.url, everybody, action);
  const rest = async (by: SdkDevice, method: string, path: string, body?: object): Promise<never> => {
    const answer = await call(node.url, method, `/api/v1${path}`, {
      token: by.token,
      ...(body === undefined ? {} : { body }),
    });
    expect([path, answer.status < 300, answer.body]).toEqual([path, true, answer.body]);
    return answer.body;
  };
  const group = async (...members: SdkDevice[]): Promise<string> => {
    const memberIds = members.map(({ userId }) => userId);
    const { id } = await verified(() =>
      rest(phone, 'POST', '/conversations', { kind: 'group', title: 'tea', memberIds }),
    );
    return id;
  };
  const say = async (from: SdkDevice, conversationId: string, body: string, replyTo?: number) => {
    const options = replyTo === undefined ? {} : { replyTo };
    return (await from.client.send({ conversationId }, body, options).acked).seq;
  };
  const local = ({ client }: { client: ParleyClient }, id: string) => client.conversations.get(id);

  it('finds out when a device missed an event', async () => {
    const id = await group(bob);
    jest.spyOn(tablet.client.conversations, 'apply').mockImplementationOnce(() => undefined);
    // Of the one that missed it alone: others may be a moment behind, too, and so little patience does not wait.
    await expect(
      verifyAction(node.url, [tablet], () => say(phone, id, 'lost'), { patienceMs: 300 }),
    ).rejects.toThrow(/bob's tablet: what it had/);
    // Knowing one message less than there are, it is put right by the next sync only; the others were right.
    await verifyAction(node.url, [phone, laptop, bob, cid], () => Promise.resolve());
  });

  it('messages of a direct conversation', async () => {
    const { conversationId: id, seq } = await verified(
      () => phone.client.send({ to: bob.userId }, 'hello').acked,
    );
    await verified(() => say(bob, id, 'hi', seq));
    await verified(() => phone.client.edit(id, seq, 'hello, Bob'));
    await verified(() => bob.client.react(id, seq, '👋'));
    await verified(() => phone.client.delete(id, seq));
    expect(local(tablet, id)?.bySeq(seq)?.content).toBeNull();
    expect(local(cid, id)).toBeUndefined();
  });

  it('sending, answering, editing, deleting, reacting in a group', async () => {
    const id = await group(bob, cid);
    const first = await verified(() => say(phone, id, 'one'));
    const second = await verified(() => say(bob, id, 'two', first));
    await verified(() => say(cid, id, 'three'));
    await verified(() => phone.client.edit(id, first, 'One'));
    await verified(() => laptop.client.edit(id, first, 'One!'));
    expect(local(cid, id)?.bySeq(first)).toMatchObject({ content: { body: 'One!' }, version: 3 });
    await verified(() => cid.client.react(id, first, '👍'));
    await verified(() => bob.client.react(id, first, '👍'));
    await verified(() => tablet.client.react(id, first, '🫖'));
    await verified(() => bob.client.react(id, first, '👍', false));
    await verified(() => bob.client.delete(id, second));
    // Somebody else's message, by the owner.
    const spam = await verified(() => say(cid, id, 'buy now'));
    await verified(() => phone.client.delete(id, spam));
    await verified(async () => {
      await Promise.all([say(phone, id, 'a'), say(bob, id, 'b'), say(cid, id, 'c'), say(laptop, id, 'd')]);
    });
  });

  it('deleting for oneself changes what oneself is shown, nobody else and no count', async () => {
    const id = await group(bob);
    const seq = await verified(() => say(phone, id, 'seen enough'));
    await tablet.client.delete(id, seq, 'me');
    await verifyAction(node.url, [bob, tablet], () => Promise.resolve(), { hidden: new Set([seq]) });
    await verifyAction(node.url, [phone, laptop], () => say(bob, id, 'next'));
    await verifyAction(node.url, [bob, tablet], () => say(phone, id, 'last'), { hidden: new Set([seq]) });
  });

  it('reading, on several devices', async () => {
    const id = await group(bob);
    const seqs: number[] = [];
    for (const body of ['1', '2', '3']) seqs.push(await verified(() => say(phone, id, body)));
    expect([local(bob, id)?.unread, local(tablet, id)?.unread]).toEqual([3, 3]);
    await verified(() => {
      bob.client.read(id, seqs[1] ?? 0);
      return eventually('one unread on the tablet', () => local(tablet, id)?.unread === 1);
    });
    // A deleted message is not waited for any more.
    await verified(() => phone.client.delete(id, seqs[2] ?? 0));
    expect(local(tablet, id)?.unread).toBe(0);
    const last = await verified(() => say(phone, id, '4'));
    await verified(() => {
      tablet.client.read(id, last);
      return eventually('none unread on the phone', () => local(bob, id)?.unread === 0);
    });
    // Ann wrote all of it: her own words are read by her.
    expect([local(phone, id)?.unread, local(laptop, id)?.unread]).toEqual([0, 0]);
    expect(local(phone, id)?.readBy.get(bob.userId)).toBe(last);
  });

  it('members come, change their roles, leave, are removed and come back', async () => {
    const id = await group(bob);
    await verified(() => say(phone, id, 'before cid'));
    await verified(() => rest(phone, 'POST', `/conversations/${id}/members`, { userIds: [cid.userId] }));
    expect(local(cid, id)?.messages).toEqual([]);
    await verified(() => say(bob, id, 'welcome'));
    const member = (device: SdkDevice): string => `/conversations/${id}/members/${device.userId}`;
    await verified(() => rest(phone, 'PATCH', member(bob), { role: 'admin' }));
    await verified(() => rest(bob, 'DELETE', member(cid)));
    expect(local(cid, id)).toBeUndefined();
    await verified(() => say(phone, id, 'without cid'));
    await verified(() => rest(phone, 'POST', `/conversations/${id}/members`, { userIds: [cid.userId] }));
    await verified(() => say(cid, id, 'back again'));
    expect(JSON.stringify(local(cid, id)?.messages)).not.toContain('without cid');
    await verified(() => rest(bob, 'DELETE', `/conversations/${id}/members/me`));
    expect([local(bob, id), local(tablet, id)]).toEqual([undefined, undefined]);
    await verified(() => say(cid, id, 'bob has left'));
  });

  it('title and settings', async () => {
    const id = await group(bob);
    await verified(() => rest(phone, 'PATCH', `/conversations/${id}`, { title: 'coffee' }));
    expect(local(tablet, id)?.title).toBe('coffee');
    await verified(() =>
      rest(phone, 'PATCH', `/conversations/${id}`, {
        settings: { historyVisibility: 'shared', whoMayPost: 'everyone' },
      }),
    );
    await verified(() => say(bob, id, 'before cid'));
    await verified(() => rest(phone, 'POST', `/conversations/${id}/members`, { userIds: [cid.userId] }));
    await verified(() => say(phone, id, 'after'));
  });

  it('blocking and unblocking', async () => {
    const { conversationId: id } = await verified(() => phone.client.send({ to: bob.userId }, 'hello').acked);
    await verified(() => rest(bob, 'PUT', `/users/${phone.userId}/block`));
    await verified(() =>
      expect(phone.client.send({ conversationId: id }, 'please').acked).rejects.toMatchObject({
        code: 'blocked',
      }),
    );
    await verified(() => rest(bob, 'DELETE', `/users/${phone.userId}/block`));
    await verified(() => say(phone, id, 'thank you'));
  });
});

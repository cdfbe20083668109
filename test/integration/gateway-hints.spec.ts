import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Map as ImmutableMap, OrderedMap } from 'immutable';
import type { UserId } from '../../src/kernel/ids';
import { newUser, startGateway, type GatewayHarness } from '../support/gateway-harness';
import type { RawDevice } from '../support/raw-device';

const conversationId = randomUUID();

describe('hints', () => {
  let gateway: GatewayHarness;
  let [ann, bob, eve]: [UserId, UserId, UserId] = [newUser(), newUser(), newUser()];
  let a: RawDevice;
  let b: RawDevice;
  let blockers = ImmutableMap<UserId, true>();

  beforeAll(async () => {
    gateway = await startGateway({ limits: { presenceWatchMax: 3 } });
    gateway.backstage.state = (id) => {
      if (id !== conversationId) return Promise.resolve(undefined);
      const members = ImmutableMap([ann, bob].map((user) => [user, {}] as const));
      return Promise.resolve({ members, departed: OrderedMap([[eve, 0]]), blockers });
    };
  });
  beforeEach(async () => {
    [ann, bob, eve] = [newUser(), newUser(), newUser()];
    blockers = ImmutableMap();
    [a, b] = [await gateway.device(ann, 'a'), await gateway.device(bob, 'b')];
  });
  afterEach(async () => {
    await Promise.all([a.close(), b.close()]);
  });
  afterAll(async () => {
    await gateway.stop();
  });

  const typing = (device: RawDevice, isTyping: boolean, id?: string, conversation = conversationId): void => {
    const data = { conversationId: conversation, isTyping };
    device.sendText(JSON.stringify({ event: 'typing', ...(id === undefined ? {} : { id }), data }));
  };

  it('show the others that somebody types, once, and answer nothing', async () => {
    const desk = await gateway.device(ann, 'desk');
    for (let n = 0; n < 5; n++) typing(a, true, `t${n}`);
    typing(a, false, 'end');
    await b.waitFor((frame) => frame.event === 'typing' && frame.data['isTyping'] === false);
    await a.request('ping');
    expect(b.pushes('typing').map(({ data }) => data)).toEqual([
      { conversationId, userId: ann, isTyping: true },
      { conversationId, userId: ann, isTyping: false },
    ]);
    expect(a.frames.map((frame) => frame.event)).toEqual(['ready', 'pong']);
    await desk.request('ping');
    expect(desk.pushes('typing')).toHaveLength(0);
    await desk.close();
  });

  it('do not tell strangers whether a conversation exists', async () => {
    const [stranger, former] = [await gateway.device(), await gateway.device(eve)];
    typing(stranger, true, 'there');
    typing(stranger, true, 'nowhere', randomUUID());
    const there = await stranger.waitFor((frame) => frame.id === 'there');
    const nowhere = await stranger.waitFor((frame) => frame.id === 'nowhere');
    expect(there.data).toEqual(nowhere.data);
    expect(there.data).toMatchObject({ code: 'not_found' });
    typing(former, true, 'former');
    expect((await former.waitFor((frame) => frame.id === 'former')).data).toMatchObject({
      code: 'not_a_member',
    });
    await b.request('ping');
    expect(b.pushes('typing')).toHaveLength(0);
    await Promise.all([stranger.close(), former.close()]);
  });

  it('carry call signals to the devices of one member', async () => {
    const desk = await gateway.device(bob, 'desk');
    const signal = { sdp: 'v=0', candidates: [1, 2] };
    const call = { conversationId, callId: 'call', toUserId: bob, signal };
    expect((await a.request('call.signal', call)).event).toBe('ok');
    for (const device of [b, desk]) {
      expect((await device.waitFor((frame) => frame.event === 'call.signal')).data).toEqual({
        ...call,
        fromUserId: ann,
        fromDeviceId: 'a',
      });
    }
    expect((await a.request('call.signal', { ...call, toDeviceId: 'desk' })).event).toBe('ok');
    await desk.waitFor((frame) => frame.event === 'call.signal' && frame.data['toDeviceId'] === 'desk');
    await b.request('ping');
    expect(b.pushes('call.signal')).toHaveLength(1);
    const toEve = await a.request('call.signal', { ...call, toUserId: eve });
    expect(toEve.data).toMatchObject({ code: 'invalid_input', errors: [{ field: 'toUserId' }] });
    blockers = ImmutableMap([[bob, true]]);
    expect((await a.request('call.signal', call)).data).toMatchObject({ code: 'blocked' });
    await desk.close();
  });

  it('show presence to those who watch', async () => {
    const watched = await a.request('presence.watch', { userIds: [bob, eve] });
    expect(watched.data['presences']).toMatchObject([
      { userId: bob, status: 'online' },
      { userId: eve, status: 'offline', lastSeenAt: null },
    ]);
    expect((await b.request('presence.set', { status: 'busy', customStatus: 'tea' })).event).toBe('ok');
    const busy = await a.waitFor((frame) => frame.event === 'presence');
    expect(busy.data).toMatchObject({ userId: bob, status: 'busy', customStatus: 'tea' });
    expect(busy.data['lastSeenAt']).not.toBeNull();
    gateway.backstage.hidingLastSeen = new Set([bob]);
    const hidden = await a.request('presence.watch', { userIds: [bob] });
    expect(hidden.data['presences']).toMatchObject([{ userId: bob, status: 'busy', lastSeenAt: null }]);
    await b.request('presence.set', { status: 'invisible' });
    const gone = await a.waitFor(({ event, data }) => event === 'presence' && data['status'] === 'offline');
    expect(gone.data['lastSeenAt']).toBeNull();
    expect(gone.data).not.toHaveProperty('customStatus');
    expect((await a.request('presence.unwatch', { userIds: [bob] })).data).toEqual({ presences: [] });
    await b.request('presence.set', { status: 'online' });
    await sleep(150);
    expect(a.pushes('presence')).toHaveLength(2);
  });

  it('bound what one socket watches, in one frame and over many', async () => {
    await a.request('presence.watch', { userIds: [newUser(), newUser()] });
    const more = await a.request('presence.watch', { userIds: [newUser(), newUser()] });
    expect(more.data).toMatchObject({ code: 'invalid_input', errors: [{ field: 'userIds' }] });
    expect((await a.request('presence.watch', { userIds: [newUser()] })).event).toBe('ok');
  });

  it('remember what is on screen', async () => {
    expect((await a.request('focus', { conversationId })).event).toBe('ok');
    expect((await a.request('unfocus', { conversationId })).event).toBe('ok');
  });
});

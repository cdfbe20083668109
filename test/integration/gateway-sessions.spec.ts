import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { asConversationId, asSeq, type UserId } from '../../src/kernel/ids';
import {
  inspectServerFrame,
  newUser,
  pushOf,
  startGateway,
  tokenOf,
  type GatewayHarness,
} from '../support/gateway-harness';
import { RawDevice, type Frame } from '../support/raw-device';

const HANDSHAKE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

/** Status of an upgrade that is refused. */
function upgradeStatus(gateway: GatewayHarness, path: string, headers: object = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${gateway.url}${path}`, { headers: { ...HANDSHAKE, ...headers } });
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    request.on('error', reject);
    request.end();
  });
}

/** Opens with an `Authorization` header and writes down what comes. */
function openWithToken(gateway: GatewayHarness, token: string, query = ''): Promise<Frame | number> {
  return new Promise((resolve) => {
    const url = `ws://127.0.0.1:${gateway.port}/ws${query}`;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
    let first: Frame | undefined;
    socket.on('message', (raw: Buffer) => {
      const frame = JSON.parse(raw.toString()) as Frame;
      inspectServerFrame(frame);
      first ??= frame;
      if (frame.event === 'ready') socket.close();
    });
    socket.on('close', (code) => {
      resolve(first?.event === 'ready' ? first : code);
    });
  });
}

describe('a session', () => {
  let gateway: GatewayHarness;
  let user: UserId;

  beforeAll(async () => {
    gateway = await startGateway({
      config: { authTimeoutMs: 300, heartbeatMs: 200 },
      gateway: { heartbeatGraceMs: 200 },
      limits: { socketsPerUserMax: 2 },
    });
  });
  beforeEach(() => {
    user = newUser();
  });
  afterAll(async () => {
    await gateway.stop();
  });

  describe('begins', () => {
    it('on /ws alone', async () => {
      expect(await upgradeStatus(gateway, '/other')).toBe(404);
      expect(await upgradeStatus(gateway, '/ws/../admin')).toBe(404);
      expect(await upgradeStatus(gateway, '/ws?x=1')).toBe(101);
      expect(await upgradeStatus(gateway, '/ws', { 'sec-websocket-key': 'no' })).toBe(400);
      expect(await upgradeStatus(gateway, '/ws', { 'sec-websocket-extensions': 'constructor' })).toBe(101);
    });

    it('with a token on the upgrade: ready comes by itself, without an id', async () => {
      const ready = (await openWithToken(gateway, tokenOf(user), '?deviceId=desk')) as Frame;
      expect(ready).toMatchObject({ event: 'ready', data: { userId: user, deviceId: 'desk' } });
      expect('id' in ready).toBe(false);
      const nameless = (await openWithToken(gateway, tokenOf(user))) as Frame;
      expect(nameless.data['deviceId']).toMatch(/^[0-9a-f-]{36}$/);
      expect(await openWithToken(gateway, 'nonsense')).toBe(4004);
      const headers = { authorization: `Bearer ${tokenOf(user)}` };
      expect(await upgradeStatus(gateway, '/ws?deviceId=a%20b', headers)).toBe(400);
    });

    it('refuses every frame before auth, and stays open for it', async () => {
      const device = await gateway.stranger();
      for (const event of ['ping', 'sync', 'message.send', 'nonsense']) {
        expect((await device.request(event, {})).data).toMatchObject({
          code: 'unauthenticated',
          status: 401,
        });
      }
      const ready = await device.request('auth', { token: tokenOf(user), deviceId: 'phone' });
      expect(ready.event).toBe('ready');
      await device.close();
    });

    it('closes 4003 without auth in time', async () => {
      const device = await gateway.stranger();
      expect(await device.waitForClose()).toEqual({ code: 4003, reason: 'no auth in time' });
    });

    it('answers a bad token, then closes 4004', async () => {
      const device = await gateway.stranger();
      const answer = await device.request('auth', { token: tokenOf(user, 's', 1), deviceId: 'phone' });
      expect(answer.data).toMatchObject({ code: 'unauthenticated' });
      expect((await device.waitForClose()).code).toBe(4004);
    });

    it('only once', async () => {
      const device = await gateway.device(user);
      const again = await device.request('auth', { token: tokenOf(user), deviceId: 'phone' });
      expect(again.data).toMatchObject({ code: 'conflict' });
      expect((await device.request('ping')).event).toBe('pong');
      await device.close();
    });

    it('with ready before any push', async () => {
      const conversationId = randomUUID();
      const register = jest.spyOn(gateway.hub, 'register');
      register.mockImplementationOnce((connection, signInId) => {
        register.mockRestore();
        const registered = gateway.hub.register(connection, signInId);
        setImmediate(() => {
          connection.push(pushOf(conversationId, 0));
        });
        return registered;
      });
      const device = await gateway.device(user);
      await device.waitFor((frame) => frame.event === 'message.sent');
      expect(device.frames.map((frame) => frame.event)).toEqual(['ready', 'message.sent']);
      await device.close();
    });
  });

  describe('ends', () => {
    it('4009, when the same device connects again', async () => {
      const old = await gateway.device(user, 'phone');
      const other = await gateway.device(user, 'desk');
      const fresh = await gateway.device(user, 'phone');
      expect((await old.waitForClose()).code).toBe(4009);
      expect((await fresh.request('ping')).event).toBe('pong');
      expect((await other.request('ping')).event).toBe('pong');
      expect(gateway.connectionsOf(user)).toHaveLength(2);
      await Promise.all([fresh.close(), other.close()]);
      await sleep(20);
      expect(gateway.connectionsOf(user)).toHaveLength(0);
    });

    it('4009, when its authentication comes later than that of a connection the device made after it', async () => {
      const givenUp = await gateway.stranger();
      const fresh = await gateway.device(user, 'phone');
      const data = { token: tokenOf(user), deviceId: 'phone' };
      givenUp.sendText(JSON.stringify({ event: 'auth', id: 'late', data }));
      expect((await givenUp.waitForClose()).code).toBe(4009);
      expect(givenUp.frames).toEqual([]);
      expect((await fresh.request('ping')).event).toBe('pong');
      expect(gateway.connectionsOf(user)).toHaveLength(1);
      await fresh.close();
    });

    it('4009, when the sign-in or the device is ended', async () => {
      const device = await gateway.device(user, 'phone');
      gateway.hub.signOut(user, { signInId: 'another' });
      expect((await device.request('ping')).event).toBe('pong');
      gateway.hub.signOut(user, { signInId: 'sign-in' });
      expect((await device.waitForClose()).code).toBe(4009);
    });

    it('4008, when the user has too many sockets', async () => {
      const devices = [await gateway.device(user), await gateway.device(user)];
      const third = await gateway.stranger();
      const answer = await third.request('auth', { token: tokenOf(user), deviceId: 'third' });
      expect(answer.data).toMatchObject({ code: 'rate_limited', retryable: true });
      expect((await third.waitForClose()).code).toBe(4008);
      for (const device of devices) await device.close();
    });

    it('4004, when its token expires; later, when it was renewed', async () => {
      const auth = (token: string) => ({ token, deviceId: randomUUID() });
      const [one, other] = [await gateway.stranger(), await gateway.stranger()];
      const soon = Date.now() + 250;
      await one.request('auth', auth(tokenOf(user, 'a', soon)));
      await other.request('auth', auth(tokenOf(user, 'a', soon)));
      expect((await other.request('reauth', { token: tokenOf(user, 'b') })).event).toBe('ok');
      expect((await one.waitForClose()).code).toBe(4004);
      expect((await other.request('ping')).event).toBe('pong');
      gateway.hub.signOut(user, { signInId: 'b' });
      expect((await other.waitForClose()).code).toBe(4009);
    });

    it('4004, when it is renewed with the token of somebody else', async () => {
      const device = await gateway.device(user);
      const answer = await device.request('reauth', { token: tokenOf(newUser()) });
      expect(answer.data).toMatchObject({ code: 'unauthenticated' });
      expect((await device.waitForClose()).code).toBe(4004);
    });

    it('when the peer has fallen silent, and not before', async () => {
      const alive = await gateway.device(user, 'alive');
      const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws`, { autoPong: false });
      await new Promise((resolve) => socket.once('open', resolve));
      const auth = { token: tokenOf(user), deviceId: 'dead' };
      socket.send(JSON.stringify({ event: 'auth', data: auth }));
      const opened = Date.now();
      const code = await new Promise((resolve) => socket.once('close', resolve));
      expect(code).toBe(1006);
      expect(Date.now() - opened).toBeGreaterThan(350);
      expect(gateway.counters.silent).toBeGreaterThan(0);
      await sleep(300);
      expect((await alive.request('ping')).event).toBe('pong');
      await alive.close();
    });

    it('1002, on a violation of WebSocket itself', async () => {
      const codes: number[] = [];
      const unmasked = Buffer.from([0x81, 0x02, 0x7b, 0x7d]);
      const reservedBit = Buffer.from([0xc1, 0x80, 0, 0, 0, 0]);
      const strayContinuation = Buffer.from([0x80, 0x80, 0, 0, 0, 0]);
      const longPing = Buffer.concat([Buffer.from([0x89, 0xfe, 0x00, 0x7e, 0, 0, 0, 0]), Buffer.alloc(126)]);
      const hugeLength = Buffer.from([0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]);
      for (const bytes of [unmasked, reservedBit, strayContinuation, longPing, hugeLength]) {
        codes.push(await closeCodeAfter(gateway.port, bytes));
      }
      expect(codes).toEqual([1002, 1002, 1002, 1002, 4001]);
    });
  });

  it('holds pushes during a sync, then lets those follow that it did not contain', async () => {
    const [one, other] = [randomUUID(), randomUUID()];
    const device = await gateway.device(user);
    const [connection] = gateway.connectionsOf(user);
    gateway.backstage.sync = async (held, _data, id) => {
      held.hold();
      for (const seq of [4, 5, 6]) connection?.push(pushOf(one, seq));
      connection?.push(pushOf(other, 0));
      const data = { epoch: 'e', position: '0/0' };
      await held.answer({ event: 'sync.done', ...(id === undefined ? {} : { id }), data });
      const synced = (id: string) => (id === asConversationId(one) ? asSeq(5) : undefined);
      held.release(synced, 'all');
      // What the feed brings late, though the sync had it already.
      connection?.push(pushOf(one, 5));
      connection?.push(pushOf(one, 7));
      return undefined;
    };
    await device.request('sync', {});
    await device.waitFor((frame) => frame.data['seq'] === 7);
    const after = device.frames.slice(device.frames.findIndex(({ event }) => event === 'sync.done') + 1);
    const seen = after.map(({ data }) => [data['conversationId'], data['seq']]);
    expect(seen).toEqual([
      [one, 6],
      [other, 0],
      [one, 7],
    ]);
    expect(device.pushes('message.sent')).toHaveLength(3);
    await device.close();
  });

  it('answers a refused sync', async () => {
    gateway.backstage.sync = () =>
      Promise.resolve({
        type: '/problems/unavailable',
        title: 'Unavailable',
        status: 503,
        code: 'unavailable',
        detail: 'later',
        retryable: true,
        retryAfterMs: 10,
      });
    const device = await gateway.device(user);
    expect((await device.request('sync', {})).data).toMatchObject({ code: 'unavailable', retryAfterMs: 10 });
    await device.close();
  });
});

/** Handshakes by hand, sends bytes, and reads the code of the close frame that comes back. */
function closeCodeAfter(port: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      const headers = Object.entries({ host: 'x', ...HANDSHAKE }).map(([name, value]) => `${name}: ${value}`);
      socket.write(`GET /ws HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
    });
    let seen = Buffer.alloc(0);
    let isOpen = false;
    socket.on('data', (chunk) => {
      seen = Buffer.concat([seen, chunk]);
      const end = seen.indexOf('\r\n\r\n');
      if (!isOpen && end >= 0) {
        isOpen = true;
        seen = seen.subarray(end + 4);
        socket.write(bytes);
      }
      if (isOpen && seen.length >= 4 && seen[0] === 0x88) {
        resolve(seen.readUInt16BE(2));
        socket.destroy();
      }
    });
    socket.on('error', reject);
  });
}

describe('a drain', () => {
  it('sends everybody away, each at a time of its own, and lets nobody in', async () => {
    const gateway = await startGateway();
    const devices = await Promise.all(Array.from({ length: 20 }, () => gateway.device()));
    const silent = await gateway.stranger();
    const drained = gateway.sockets.drain();
    expect(await upgradeStatus(gateway, '/ws')).toBe(503);
    for (const device of [...devices, silent]) {
      expect(await device.waitForClose()).toEqual({ code: 1012, reason: 'draining' });
    }
    await drained;
    const times = devices.map((device) => device.pushes('reconnect')[0]?.data['afterMs'] as number);
    expect(new Set(times).size).toBeGreaterThan(10);
    expect(gateway.backstage.flushed).toBe(1);
    expect(gateway.sockets.size).toBe(0);
    await gateway.stop();
  });

  it('goes on serving those whose turn has not come', async () => {
    const gateway = await startGateway({ gateway: { drainStepMs: 4_000 } });
    const [first, second] = [await gateway.device(), await gateway.device()];
    const drained = gateway.sockets.drain();
    await first.waitForClose();
    expect((await second.request('ping')).event).toBe('pong');
    expect(gateway.backstage.flushed).toBe(0);
    expect(await second.waitForClose()).toEqual({ code: 1012, reason: 'draining' });
    await drained;
    expect(gateway.backstage.flushed).toBe(1);
    await gateway.stop();
  });

  it('takes as long as it may, however many there are', async () => {
    const gateway = await startGateway({ gateway: { drainStepMs: 60_000, drainSpreadMs: 500 } });
    const devices = await Promise.all(Array.from({ length: 5 }, () => gateway.device()));
    await gateway.sockets.drain();
    expect(await Promise.all(devices.map((device) => device.waitForClose()))).toEqual(
      devices.map(() => ({ code: 1012, reason: 'draining' })),
    );
    await gateway.stop();
  });

  it('ends in time even if a peer does not answer', async () => {
    const gateway = await startGateway({ gateway: { drainMs: 200 } });
    const device = await RawDevice.open(gateway.url);
    device.socket.pause();
    const began = Date.now();
    await gateway.stop();
    expect(Date.now() - began).toBeLessThan(15_000);
    device.socket.terminate();
  });
});

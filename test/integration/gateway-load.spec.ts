import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUser, pushOf, startGateway, type GatewayHarness } from '../support/gateway-harness';
import type { Frame, RawDevice } from '../support/raw-device';

const BODY = 'x'.repeat(16_000);
const HIGH_WATER = 262_144;

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 10) {
    if (waited > 30_000) throw new Error(`still not: ${what}`);
    await sleep(10);
  }
}

describe('a socket that is read slowly', () => {
  let gateway: GatewayHarness;
  let bystander: RawDevice;

  beforeAll(async () => {
    gateway = await startGateway({ gateway: { resyncConversationsMax: 50 } });
    bystander = await gateway.device();
  });
  afterAll(async () => {
    await gateway.stop();
  });

  /** Pushes until the socket is past its high-water mark, and far beyond what it could take. */
  const flood = (
    node: GatewayHarness,
    userId: ReturnType<typeof newUser>,
    ids: readonly string[],
  ): number => {
    const [connection] = node.connectionsOf(userId);
    let seq = 0;
    for (let bytes = 0; bytes < 40_000_000; bytes += BODY.length, seq++) {
      connection?.push(pushOf(ids[seq % ids.length] ?? '', seq, BODY));
    }
    return seq;
  };

  it('is told what moved once it has drained, holds little meanwhile, and misses nothing after', async () => {
    const userId = newUser();
    const device = await gateway.device(userId);
    const ids = [randomUUID(), randomUUID(), randomUUID()];
    device.socket.pause();
    const next = flood(gateway, userId, ids);
    const [connection] = gateway.connectionsOf(userId);
    connection?.hint(Buffer.from('{"event":"typing"}'));
    expect(gateway.sockets.outboundBytesWaiting).toBeLessThan(HIGH_WATER + 100_000);
    expect((await bystander.request('ping')).event).toBe('pong');
    device.socket.resume();
    const resync = await device.waitFor((frame) => frame.event === 'resync');
    expect([...(resync.data['conversationIds'] as string[])].sort()).toEqual([...ids].sort());
    connection?.push(pushOf(ids[0] ?? '', next));
    await device.waitFor((frame) => frame.data['seq'] === next);
    for (const id of ids) {
      const seqs = device
        .pushes('message.sent')
        .filter((frame) => frame.data['conversationId'] === id)
        .map((frame) => frame.data['seq'] as number);
      expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
      expect(new Set(seqs).size).toBe(seqs.length);
    }
    expect(device.pushes('typing')).toHaveLength(0);
    expect(gateway.counters.slowRecovered).toBeGreaterThan(0);
    await device.close();
  });

  it('is closed with 4013 when it does not drain', async () => {
    // On a node of its own: others, that are to drain, would be too slow for it on a busy machine.
    const impatient = await startGateway({ gateway: { slowSocketMs: 600 } });
    const [other, userId] = [await impatient.device(), newUser()];
    const device = await impatient.device(userId);
    device.socket.pause();
    flood(impatient, userId, [randomUUID()]);
    await until(() => impatient.counters.slowClosed > 0, '4013');
    expect(impatient.connectionsOf(userId)).toHaveLength(0);
    expect(impatient.sockets.outboundBytesWaiting).toBeLessThan(HIGH_WATER + 100_000);
    device.socket.resume();
    expect((await device.waitForClose()).code).toBe(4013);
    expect((await other.request('ping')).event).toBe('pong');
    await impatient.stop();
  });

  it('is closed with 4013 when it misses more conversations than resync may name', async () => {
    const userId = newUser();
    const device = await gateway.device(userId);
    device.socket.pause();
    const ids = Array.from({ length: 51 }, () => randomUUID());
    flood(gateway, userId, ids.slice(0, 50));
    expect(gateway.connectionsOf(userId)).toHaveLength(1);
    gateway.connectionsOf(userId)[0]?.push(pushOf(ids[50] ?? '', 1_000_000));
    expect(gateway.connectionsOf(userId)).toHaveLength(0);
    device.socket.resume();
    expect((await device.waitForClose()).code).toBe(4013);
  });

  it('makes its own answers wait, not those of others', async () => {
    const userId = newUser();
    const device = await gateway.device(userId);
    let pages = 0;
    gateway.backstage.sync = async (connection, _data, id) => {
      const data = { conversations: [] };
      const page = { event: 'sync.page' as const, ...(id === undefined ? {} : { id }), data };
      const padded = { ...page, data: { ...data, padding: BODY.repeat(4) } };
      for (; pages < 400; pages++) await connection.answer(padded);
      return undefined;
    };
    device.socket.pause();
    device.sendText(JSON.stringify({ event: 'sync', id: 's' }));
    await sleep(300);
    expect(pages).toBeLessThan(400);
    expect(gateway.sockets.outboundBytesWaiting).toBeLessThan(HIGH_WATER + 200_000);
    device.socket.resume();
    await until(() => pages === 400, 'all pages taken');
    await until(() => device.frames.length >= 401, 'all pages read');
    await device.close();
  });
});

describe('rates', () => {
  let gateway: GatewayHarness;

  beforeAll(async () => {
    gateway = await startGateway({
      config: { rateLimits: true },
      limits: { messagesPerSecond: 1, messagesBurst: 3 },
      gateway: { rateBreachesMax: 500 },
    });
    gateway.backstage.execute = () =>
      Promise.resolve({
        conversationId: randomUUID(),
        outcome: { kind: 'refused', refusal: { code: 'blocked', detail: 'no' } },
      });
  });
  afterAll(async () => {
    await gateway.stop();
  });

  it('answer each frame of a burst, in order, and close 4008 when it was enough', async () => {
    const [device, bystander] = [await gateway.device(), await gateway.device()];
    for (let n = 0; n < 10_000; n++) device.sendText(`{"event":"ping","id":"p${n}"}`);
    expect(await device.waitForClose()).toEqual({ code: 4008, reason: 'rate limit kept being broken' });
    const answers = device.frames.filter((frame) => frame.id?.startsWith('p') === true);
    expect(answers.map((frame) => frame.id)).toEqual(answers.map((_frame, n) => `p${n}`));
    const refused = answers.filter((frame: Frame) => frame.event === 'error');
    expect(refused).toHaveLength(501);
    for (const { data } of refused) {
      expect(data).toMatchObject({ code: 'rate_limited', status: 429, retryable: true });
      expect(data['retryAfterMs']).toBeGreaterThan(0);
    }
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(100);
    expect((await bystander.request('ping')).event).toBe('pong');
    await bystander.close();
  });

  it('count the messages of a user over all their sockets, apart from other frames', async () => {
    const userId = newUser();
    const devices = [await gateway.device(userId), await gateway.device(userId)];
    const codes: unknown[] = [];
    for (let n = 0; n < 5; n++) {
      const device = devices[n % 2];
      const message = { to: newUser(), clientMessageId: `k${n}`, content: { type: 'text', body: 'x' } };
      codes.push((await device?.request('message.send', message))?.data['code']);
    }
    expect(codes).toEqual(['blocked', 'blocked', 'blocked', 'rate_limited', 'rate_limited']);
    expect((await devices[0]?.request('ping'))?.event).toBe('pong');
    for (const device of devices) await device.close();
  });

  it('hold for pings of WebSocket itself, too', async () => {
    const device = await gateway.device();
    for (let n = 0; n < 2_000; n++) device.socket.ping();
    const { code } = await device.waitForClose();
    // Our own close, or that of `ws` for a peer that does not take its pongs.
    expect([4008, 1006]).toContain(code);
  });
});

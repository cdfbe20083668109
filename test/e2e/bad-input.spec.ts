import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { call, registerUser, type TestUser } from '../support/rest';
import { RawDevice, type Frame } from '../support/raw-device';
import { startTestNode, type TestNode } from '../support/test-node';

/** Whatever a client sends is answered as the protocol says, and nobody else notices. */
describe('bad input', () => {
  let node: TestNode;
  let ann: TestUser;
  let bob: TestUser;
  let bystander: RawDevice;

  beforeAll(async () => {
    node = await startTestNode();
    bob = await registerUser(node.url, 'bob');
    bystander = await RawDevice.signIn(node.url, bob.token, { inspect: node.inspectFrame });
  });
  beforeEach(async () => {
    ann = await registerUser(node.url, 'ann');
  });
  afterEach(async () => {
    expect((await bystander.request('ping')).event).toBe('pong');
    expect((await call(node.url, 'GET', '/health/live')).status).toBe(200);
  });
  afterAll(async () => {
    await bystander.close();
    await node.stop();
  });

  const signIn = (): Promise<RawDevice> =>
    RawDevice.signIn(node.url, ann.token, { inspect: node.inspectFrame });

  const depth = 20_000;
  it.each<[string, string | Buffer]>([
    ['no JSON', '{"event":'],
    ['an empty frame', ''],
    ['null', 'null'],
    ['a number', '42'],
    ['an array', '[{"event":"ping"}]'],
    ['trailing bytes', '{"event":"ping"}x'],
    ['no event', '{"id":"1","data":{}}'],
    ['an event that is no string', '{"event":7}'],
    ['one byte too many', JSON.stringify({ event: 'ping', data: { x: '' } }).padEnd(65_537)],
    ['a body of 1 MB', JSON.stringify({ event: 'message.send', data: { b: 'x'.repeat(1_000_000) } })],
    ['2 MB', 'x'.repeat(2_097_152)],
    ['a binary frame', Buffer.from('{"event":"ping"}')],
    ['nothing but nesting', '['.repeat(depth) + ']'.repeat(depth)],
  ])('closes 4001 on %s', async (_name, bytes) => {
    const device = await signIn();
    device.socket.send(bytes, { binary: Buffer.isBuffer(bytes) });
    expect((await device.waitForClose()).code).toBe(4001);
  });

  it('closes 4001 on invalid UTF-8', async () => {
    const device = await signIn();
    device.socket.send(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), { binary: false });
    expect((await device.waitForClose()).code).toBe(4001);
  });

  const message = (change: object): object => ({
    to: bob.id,
    clientMessageId: randomUUID(),
    content: { type: 'text', body: 'hi' },
    ...change,
  });
  it.each<[string, string, () => object, string]>([
    ['a missing field', 'message.send', () => ({ to: bob.id, content: message({}) }), 'clientMessageId'],
    ['an extra field', 'message.send', () => message({ admin: true }), 'admin'],
    ['a wrong type', 'message.send', () => message({ clientMessageId: 7 }), 'clientMessageId'],
    [
      'a key of 65 characters',
      'message.send',
      () => message({ clientMessageId: 'x'.repeat(65) }),
      'clientMessageId',
    ],
    ['an unknown content type', 'message.send', () => message({ content: { type: 'cake' } }), 'content'],
    [
      'a system content',
      'message.send',
      () => message({ content: { type: 'system', body: 'x' } }),
      'content',
    ],
    [
      'a blank text',
      'message.send',
      () => message({ content: { type: 'text', body: ' \n' } }),
      'content.body',
    ],
    [
      'a text of one byte over the limit',
      'message.send',
      () => message({ content: { type: 'text', body: `é${'x'.repeat(16_383)}` } }),
      'content.body',
    ],
    [
      'a lone surrogate',
      'message.send',
      () => message({ content: { type: 'text', body: '\ud800' } }),
      'content.body',
    ],
    ['both receivers', 'message.send', () => message({ conversationId: randomUUID() }), 'to'],
    ['oneself as receiver', 'message.send', () => message({ to: ann.id }), 'to'],
    ['an id that is no UUID', 'read', () => ({ conversationId: '../../etc', upTo: 0 }), 'conversationId'],
    ['a negative seq', 'read', () => ({ conversationId: randomUUID(), upTo: -1 }), 'upTo'],
    ['a fraction', 'read', () => ({ conversationId: randomUUID(), upTo: 1.5 }), 'upTo'],
    ['a number beyond 2^53', 'read', () => ({ conversationId: randomUUID(), upTo: 2 ** 60 }), 'upTo'],
    ['a negative cursor', 'sync', () => ({ cursors: { [randomUUID()]: -3 } }), 'cursors'],
    ['a cursor of no conversation', 'sync', () => ({ cursors: { 'x/../y': 3 } }), 'cursors'],
  ])('answers %s with its field and goes on', async (_name, event, data, field) => {
    const device = await signIn();
    const answer = await device.request(event, data());
    expect(answer.event).toBe('error');
    expect(answer.data).toMatchObject({ code: 'invalid_input', status: 400, retryable: false });
    const fields = (answer.data['errors'] as { field: string }[]).map((error) => error.field);
    expect(fields.some((name) => name.startsWith(field))).toBe(true);
    expect((await device.request('ping')).event).toBe('pong');
    await device.close();
  });

  it('answers an unknown event, prototype keys and deep data, too', async () => {
    const device = await signIn();
    expect((await device.request('message.burn', {})).data).toMatchObject({ code: 'invalid_input' });
    for (const key of ['__proto__', 'constructor', 'toString']) {
      device.sendText(`{"event":"ping","id":"k-${key}","data":{"${key}":{"polluted":true}}}`);
      const answer = await device.waitFor((f: Frame) => f.id === `k-${key}`);
      expect(answer.event).toBe('error');
      expect(await device.request(key, {})).toMatchObject({ event: 'error' });
    }
    device.sendText(`{"event":"ping","id":"deep","data":{"x":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`);
    expect((await device.waitFor((f) => f.id === 'deep')).event).toBe('error');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    await device.close();
  });

  it('refuses a read cursor beyond the head', async () => {
    const device = await signIn();
    const ack = await device.request('message.send', message({}));
    const answer = await device.request('read', {
      conversationId: ack.data['conversationId'],
      upTo: (ack.data['seq'] as number) + 1_000,
    });
    expect(answer.data).toMatchObject({ code: 'invalid_input', errors: [{ field: 'upTo' }] });
    await device.close();
  });

  it('keeps markup, SQL and control text exactly as sent', async () => {
    const device = await signIn();
    const body = `<script>alert(1)</script>'; DROP TABLE users; -- %s\u202e\u200b \ud83d\ude00`;
    const ack = await device.request('message.send', message({ content: { type: 'text', body } }));
    const page = await call(
      node.url,
      'GET',
      `/api/v1/conversations/${String(ack.data['conversationId'])}/messages?minSeq=${String(ack.data['seq'])}`,
      { token: ann.token },
    );
    expect((page.body as { items: { content: { body: string } }[] }).items[0]?.content.body).toBe(body);
    await device.close();
  });

  it('lets nobody in with a forged, foreign or expired token', async () => {
    const secret = new TextEncoder().encode(node.jwtSecret);
    const sign = (change: (jwt: SignJWT) => SignJWT, key: Uint8Array = secret): Promise<string> =>
      change(
        new SignJWT({ sid: randomUUID() })
          .setProtectedHeader({ alg: 'HS256' })
          .setSubject(ann.id)
          .setIssuer('parley')
          .setAudience('parley')
          .setIssuedAt()
          .setExpirationTime('5m'),
      ).sign(key);
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${ann.token.split('.')[1] ?? ''}.`;
    const tokens = [
      'nonsense',
      none,
      await sign((jwt) => jwt.setExpirationTime(Math.floor(Date.now() / 1000) - 60)),
      await sign((jwt) => jwt.setAudience('another')),
      await sign((jwt) => jwt.setNotBefore(Math.floor(Date.now() / 1000) + 600)),
      await sign((jwt) => jwt, new TextEncoder().encode('another secret of at least 32 bytes')),
    ];
    for (const token of tokens) {
      const device = await RawDevice.open(node.url, { inspect: node.inspectFrame });
      device.sendText(JSON.stringify({ event: 'auth', id: 'a', data: { token, deviceId: 'd' } }));
      expect((await device.waitForClose()).code).toBe(4004);
      const rest = await call(node.url, 'GET', '/api/v1/users/me', { token });
      expect([rest.status, (rest.body as { code: string }).code]).toEqual([401, 'unauthenticated']);
    }
  });

  it('answers each of ten thousand frames in a burst, or says that it had enough', async () => {
    const device = await signIn();
    for (let n = 0; n < 10_000; n++) device.sendText(`{"event":"ping","id":"p${n}"}`);
    const { code } = await device.waitForClose();
    expect(code).toBe(4008);
    const answers = device.frames.filter((frame) => frame.id?.startsWith('p') === true);
    const refused = answers.filter((frame) => frame.event === 'error');
    expect(refused.length).toBeGreaterThan(0);
    for (const { data } of refused) {
      expect(data).toMatchObject({ code: 'rate_limited', retryable: true });
      expect(data['retryAfterMs']).toBeGreaterThan(0);
    }
    // In order, each once, none left out before the close.
    expect(answers.map((frame) => frame.id)).toEqual(answers.map((_frame, n) => `p${n}`));
  });
});

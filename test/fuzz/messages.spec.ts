import { randomUUID } from 'node:crypto';
import { RawDevice, type Frame } from '../support/raw-device';
import { call, registerUser, type TestUser } from '../support/rest';
import { eventually } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';
import { Neighbours } from './neighbours';

const BODY_BYTES_MAX = 16_384;

/** What can be wrong with messages: every line of it is answered, or closes the socket with 4001; nobody else notices. */
describe('bad messages', () => {
  let node: TestNode;
  let neighbours: Neighbours;
  let ann: TestUser;
  let bob: TestUser;
  let device: RawDevice;
  /** A conversation of Ann and Bob with one message at seq 1. */
  let conversationId: string;

  const signIn = (user: TestUser): Promise<RawDevice> =>
    RawDevice.signIn(node.url, user.token, { inspect: node.inspectFrame });

  beforeAll(async () => {
    node = await startTestNode({ rateLimits: false });
    neighbours = await Neighbours.on(node);
    [ann, bob] = [await registerUser(node.url, 'ann'), await registerUser(node.url, 'bob')];
    device = await signIn(ann);
    const ack = await device.request('message.send', message({ to: bob.id }));
    conversationId = String(ack.data['conversationId']);
  });
  afterEach(async () => {
    expect((await device.request('ping')).event).toBe('pong');
    await neighbours.chat();
  });
  afterAll(async () => {
    await device.close();
    await neighbours.leave();
    await node.stop();
  });

  const message = (change: object): Record<string, unknown> => ({
    clientMessageId: randomUUID(),
    content: { type: 'text', body: 'hi' },
    ...change,
  });
  const text = (body: string): object => ({ content: { type: 'text', body } });
  /** Sends the text of a frame as it is; its id is `raw`. */
  const raw = async (json: string): Promise<Frame> => {
    const id = `raw-${randomUUID()}`;
    device.sendText(json.replace('"raw"', `"${id}"`));
    return device.waitFor((frame) => frame.id === id, 'an answer');
  };

  it.each([
    ['not JSON', '{"event":'],
    ['empty', ''],
    ['null', 'null'],
    ['a number', '1e309'],
    ['an array', '[]'],
    ['trailing bytes', '{"event":"ping"} {"event":"ping"}'],
    ['depth 100,000', `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
    ['an object of depth 10,000', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
    ['a byte order mark', '\ufeff{"event":"ping"}'],
  ])('%s closes with 4001', async (_name, bytes) => {
    const other = await signIn(bob);
    other.sendText(bytes);
    expect((await other.waitForClose()).code).toBe(4001);
  });

  it.each([
    ['__proto__', '{"event":"ping","id":"raw","data":{"__proto__":{"isAdmin":true}}}'],
    ['constructor', '{"event":"ping","id":"raw","data":{"constructor":{"prototype":{"isAdmin":true}}}}'],
    ['__proto__ beside data', '{"event":"ping","id":"raw","__proto__":{"isAdmin":true}}'],
    ['an event named constructor', '{"event":"constructor","id":"raw"}'],
    ['an event named __proto__', '{"event":"__proto__","id":"raw"}'],
    ['an unknown event', '{"event":"message.burn","id":"raw","data":{}}'],
    ['an unknown field', '{"event":"ping","id":"raw","data":{"extra":1}}'],
    ['data that is an array', '{"event":"ping","id":"raw","data":[]}'],
    ['data that is null', '{"event":"ping","id":"raw","data":null}'],
    ['deep data', `{"event":"ping","id":"raw","data":{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`],
  ])('%s is refused by name', async (_name, json) => {
    const answer = await raw(json);
    expect(answer).toMatchObject({ event: 'error', data: { code: 'invalid_input', status: 400 } });
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });

  it('duplicate keys count as the last one, as everywhere in JSON', async () => {
    expect(await raw('{"event":"message.send","event":"ping","id":"raw"}')).toMatchObject({ event: 'pong' });
  });

  it.each<[string, string, () => object]>([
    ['a missing clientMessageId', 'clientMessageId', () => ({ clientMessageId: undefined })],
    ['a clientMessageId of control characters', 'clientMessageId', () => ({ clientMessageId: 'a\u0007b' })],
    ['an empty clientMessageId', 'clientMessageId', () => ({ clientMessageId: '' })],
    ['a clientMessageId of 50 KB', 'clientMessageId', () => ({ clientMessageId: 'x'.repeat(50_000) })],
    ['a clientMessageId that is an object', 'clientMessageId', () => ({ clientMessageId: {} })],
    ['a content that is a text', 'content', () => ({ content: 'hi' })],
    ['a body that is a number', 'content', () => ({ content: { type: 'text', body: 7 } })],
    ['replyTo negative', 'replyTo', () => ({ replyTo: -1 })],
    ['replyTo 1.5', 'replyTo', () => ({ replyTo: 1.5 })],
    ['replyTo "007"', 'replyTo', () => ({ replyTo: '007' })],
    ['replyTo 2^53+1', 'replyTo', () => ({ replyTo: 2 ** 53 + 2 })],
    ['101 mentions', 'mentions', () => ({ mentions: Array.from({ length: 101 }, () => bob.id) })],
    ['an empty text', 'content', () => text('')],
    ['a blank text', 'content.body', () => text('\u2003 \n\t\u00a0')],
    ['U+0000', 'content.body', () => text('a\u0000b')],
    ['a lone surrogate', 'content.body', () => text('a\udfffb')],
    ['emoji one byte over the limit', 'content.body', () => text(`a${'😀'.repeat(BODY_BYTES_MAX / 4)}`)],
    ['UTF-16 units over the limit', 'content', () => text('x'.repeat(BODY_BYTES_MAX + 1))],
    [
      'an upper-case twin of the id',
      'conversationId',
      () => ({ conversationId: conversationId.toUpperCase() }),
    ],
    ['an id that is a path', 'conversationId', () => ({ conversationId: `../${conversationId}` })],
  ])('%s is refused with its field', async (_name, field, change) => {
    const answer = await device.request('message.send', message({ conversationId, ...change() }));
    expect(answer).toMatchObject({ event: 'error', data: { code: 'invalid_input', retryable: false } });
    const fields = (answer.data['errors'] as { field: string }[]).map((error) => error.field);
    expect(fields.some((name) => name.startsWith(field))).toBe(true);
  });

  it('a number of 1e309 is none that fits', async () => {
    const answer = await raw(
      `{"event":"read","id":"raw","data":{"conversationId":"${conversationId}","upTo":1e309}}`,
    );
    expect(answer).toMatchObject({ event: 'error', data: { code: 'invalid_input' } });
  });

  it.each([
    ['markup', '<img src=x onerror=alert(1)><script>alert(1)</script>'],
    ['SQL', `'; DROP TABLE read.history_messages; --`],
    ['format strings', '%s %n %x ${7*7} {{7*7}} $(id) `id`'],
    ['a right-to-left override', 'abc\u202edef\u202c'],
    ['zero-width characters', 'a\u200b\u200c\u200d\ufeffb'],
    ['10,000 combining marks, as many as fit', `e${'\u0301'.repeat(8_000)}`],
    ['emoji at the limit', '😀'.repeat(BODY_BYTES_MAX / 4)],
    ['UTF-16 units at the limit', 'x'.repeat(BODY_BYTES_MAX)],
    ['line ends and tabs', ' \r\n\t a \u2028 \u2029 \u0085 '],
    ['control characters', '\u0001\u001b[31m\u007f\u0080'],
    ['private use and noncharacters', '\ue000\ufffe\uffff\u{10ffff}'],
  ])('%s are kept verbatim', async (_name, body) => {
    const ack = await device.request('message.send', message({ conversationId, ...text(body) }));
    const seq = Number(ack.data['seq']);
    const path = `/api/v1/conversations/${conversationId}/messages?around=${seq}&limit=1&minSeq=${seq}`;
    const page = await call(node.url, 'GET', path, { token: ann.token });
    const { items } = page.body as { items: { seq: number; content: { body: string } }[] };
    expect(items.find((item) => item.seq === seq)?.content.body).toBe(body);
  });

  it('a key with another content is refused, now and for ever', async () => {
    const first = message({ conversationId });
    const ack = await device.request('message.send', first);
    expect((await device.request('message.send', first)).data).toMatchObject({
      seq: ack.data['seq'],
      duplicate: true,
    });
    const other = await device.request('message.send', { ...first, ...text('another') });
    expect(other).toMatchObject({ event: 'error', data: { code: 'client_message_id_reused', status: 409 } });
  });

  it('what one never joined, has left, or never was there gets one answer', async () => {
    const cid = await registerUser(node.url, 'cid');
    const memberIds = [bob.id, cid.id];
    const made = await call(node.url, 'POST', '/api/v1/conversations', {
      token: ann.token,
      body: { kind: 'group', title: 'left', memberIds },
    });
    const { id: left } = made.body as { id: string };
    await call(node.url, 'DELETE', `/api/v1/conversations/${left}/members/me`, { token: cid.token });
    const theirs = await signIn(cid);
    for (const event of ['message.send', 'read', 'typing', 'delivered'] as const) {
      const answers = [];
      for (const id of [conversationId, randomUUID()])
        answers.push(await theirs.request(event, dataFor(event, id)));
      const [never, missing] = answers.map(({ event: name, data }) => [name, data['code'], data['detail']]);
      expect(never).toEqual(missing);
    }
    const sent = await theirs.request('message.send', dataFor('message.send', left));
    expect(['not_found', 'not_a_member']).toContain(sent.data['code']);
    await theirs.close();
  });
  const dataFor = (event: 'message.send' | 'read' | 'typing' | 'delivered', id: string): object =>
    ({
      'message.send': message({ conversationId: id }),
      read: { conversationId: id, upTo: 0 },
      typing: { conversationId: id, isTyping: true },
      delivered: { cursors: { [id]: 0 } },
    })[event];

  it('cursors beyond the head are refused by name, and of a sync they count as none', async () => {
    const beyond = 1_000_000;
    for (const [event, data] of [
      ['read', { conversationId, upTo: beyond }],
      ['delivered', { cursors: { [conversationId]: beyond } }],
    ] as const) {
      expect((await device.request(event, data)).data).toMatchObject({ code: 'invalid_input' });
    }
    const other = await signIn(bob);
    const { pages } = await other.sync({ cursors: { [conversationId]: beyond, [randomUUID()]: 3 } });
    const found = pages.flatMap(
      ({ data }) => data['conversations'] as { conversationId: string; events: object[] }[],
    );
    const own = found.find((entry) => entry.conversationId === conversationId);
    expect(own?.events.length).toBeGreaterThan(1);
    await other.close();
  });

  it('join and leave churn leaves nobody in between', async () => {
    const made = await call(node.url, 'POST', '/api/v1/conversations', {
      token: ann.token,
      body: { kind: 'group', title: 'churn', memberIds: [bob.id] },
    });
    const path = `/api/v1/conversations/${(made.body as { id: string }).id}/members`;
    const add = (): Promise<unknown> =>
      call(node.url, 'POST', path, { token: ann.token, body: { userIds: [bob.id] } });
    const remove = (): Promise<unknown> =>
      call(node.url, 'DELETE', `${path}/${bob.id}`, { token: ann.token });
    await Promise.all(Array.from({ length: 60 }, (_, n) => (n % 2 === 0 ? remove() : add())));
    await add();
    const members = await call(node.url, 'GET', path, { token: ann.token });
    const ids = (members.body as { items: { userId: string }[] }).items.map(({ userId }) => userId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('of a thousand sockets of one user, twenty stay', async () => {
    const crowd = await registerUser(node.url, 'crowd');
    const sockets: RawDevice[] = [];
    const refused: unknown[] = [];
    for (let batch = 0; batch < 20; batch++) {
      await Promise.all(
        Array.from({ length: 50 }, () =>
          signIn(crowd).then(
            (socket) => sockets.push(socket),
            (error: unknown) => refused.push(error),
          ),
        ),
      );
    }
    expect(sockets.filter(({ closed }) => closed === undefined)).toHaveLength(20);
    expect(sockets.length + refused.length).toBe(1_000);
    for (const socket of sockets) await socket.close();
  });

  it('three hundred messages without a pause are all answered, in order, each once', async () => {
    const other = await signIn(bob);
    const COUNT = 300;
    for (let n = 0; n < COUNT; n++) {
      const data = message({ conversationId, clientMessageId: `flood-${n}` });
      other.sendText(JSON.stringify({ event: 'message.send', id: `m${n}`, data }));
    }
    await eventually('the last answer', () => other.frames.some(({ id }) => id === `m${COUNT - 1}`), 90_000);
    const answers = other.frames.filter(({ id }) => id?.startsWith('m') === true);
    expect(answers.map(({ id }) => id)).toEqual(answers.map((_answer, n) => `m${n}`));
    expect(new Set(answers.map(({ event }) => event))).toEqual(new Set(['message.ack']));
    expect(answers).toHaveLength(COUNT);
    await other.close();
  });
});

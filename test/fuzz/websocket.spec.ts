import { randomUUID } from 'node:crypto';
import { registerUser, type TestUser } from '../support/rest';
import { startTestNode, type TestNode } from '../support/test-node';
import { Neighbours } from './neighbours';
import { frameBytes, handshake, OPCODE, RawSocket, RawWebSocket } from './raw-socket';

const AUTH_TIMEOUT_MS = 2_000;
const PING = JSON.stringify({ event: 'ping', id: 'still-here' });

const closing = (code: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return bytes;
};
const fragment = (n: number): Buffer =>
  frameBytes('x', { fin: false, opcode: n === 0 ? OPCODE.text : OPCODE.continuation });
const manyHeaders = (count: number): string[] => Array.from({ length: count }, (_, n) => `X-${n}: ${n}`);
const extension = (value: string): string[] => [`Sec-WebSocket-Extensions: ${value}`];

/** What can be wrong with a WebSocket, byte by byte: the server closes that one, says why, and goes on. */
describe('bad WebSockets', () => {
  let node: TestNode;
  let neighbours: Neighbours;
  let user: TestUser;

  beforeAll(async () => {
    node = await startTestNode({ authTimeoutMs: AUTH_TIMEOUT_MS });
    neighbours = await Neighbours.on(node);
    user = await registerUser(node.url, 'bad');
  });
  afterEach(async () => {
    await neighbours.chat();
  });
  afterAll(async () => {
    await neighbours.leave();
    await node.stop();
  });

  const signIn = (): Promise<RawWebSocket> => RawWebSocket.signIn(node.url, user.token);
  const LIMIT = 65_536;
  const padded = (bytes: number): string => JSON.stringify({ event: 'ping', id: 'still-here' }).padEnd(bytes);

  it.each<[string, number, () => Buffer]>([
    ['an unmasked frame', 1002, () => frameBytes(PING, { masked: false })],
    ['reserved bit 1, compression that nobody agreed on', 1002, () => frameBytes(PING, { reserved: 4 })],
    ['reserved bit 2', 1002, () => frameBytes(PING, { reserved: 2 })],
    ['reserved bit 3', 1002, () => frameBytes(PING, { reserved: 1 })],
    ['a reserved opcode', 1002, () => frameBytes(PING, { opcode: 3 })],
    ['a reserved control opcode', 1002, () => frameBytes('', { opcode: 11 })],
    ['a fragmented ping', 1002, () => frameBytes('x', { opcode: OPCODE.ping, fin: false })],
    ['a ping over 125 bytes', 1002, () => frameBytes(Buffer.alloc(126), { opcode: OPCODE.ping })],
    ['a fragmented close', 1002, () => frameBytes('', { opcode: OPCODE.close, fin: false })],
    ['a stray continuation', 1002, () => frameBytes(PING, { opcode: OPCODE.continuation })],
    [
      'a text within a text',
      1002,
      () => Buffer.concat([frameBytes('{"ev', { fin: false }), frameBytes(PING)]),
    ],
    ['invalid UTF-8', 4001, () => frameBytes(Buffer.from([0x22, 0xc3, 0x28, 0x22]))],
    [
      'invalid UTF-8 split over fragments',
      4001,
      () =>
        Buffer.concat([
          frameBytes(Buffer.from([0x22, 0xe2, 0x82]), { fin: false }),
          frameBytes(Buffer.from([0x22]), { opcode: OPCODE.continuation }),
        ]),
    ],
    ['a close frame of one byte', 1002, () => frameBytes(Buffer.from([3]), { opcode: OPCODE.close })],
    ['a close code that nobody may send', 1002, () => frameBytes(closing(1005), { opcode: OPCODE.close })],
    ['a close code out of range', 1002, () => frameBytes(closing(65_535), { opcode: OPCODE.close })],
    [
      'a close reason that is no UTF-8',
      4001,
      () => frameBytes(Buffer.concat([closing(1000), Buffer.from([0xff])]), { opcode: OPCODE.close }),
    ],
    ['a length of 2^63', 4001, () => frameBytes('', { claimedBytes: 2n ** 63n })],
    ['a length of 2^53', 4001, () => frameBytes('', { claimedBytes: 2n ** 53n })],
    ['a length of 100 MB', 4001, () => frameBytes('x'.repeat(1_000), { claimedBytes: 100_000_000n })],
    ['a frame of one byte over the limit', 4001, () => frameBytes(padded(LIMIT + 1))],
    ['binary where text is expected', 4001, () => frameBytes(PING, { opcode: OPCODE.binary })],
    [
      'endless tiny fragments',
      4001,
      () => Buffer.concat(Array.from({ length: 5_000 }, (_, n) => fragment(n))),
    ],
  ])('%s closes it with %i', async (_name, code, bytes) => {
    const socket = await signIn();
    socket.write(bytes());
    await socket.closed();
    expect(socket.closeCode).toBe(code);
  });

  it('takes a frame of exactly the limit, in one piece or in fragments', async () => {
    const socket = await signIn();
    socket.write(frameBytes(padded(LIMIT)));
    await socket.until(() => socket.said.some(({ id }) => id === 'still-here'), 'pong');
    const bytes = Buffer.from(JSON.stringify({ event: 'ping', id: 'in-fragments' }).padEnd(1_000));
    for (let at = 0; at < bytes.length; at++) {
      const opcode = at === 0 ? OPCODE.text : OPCODE.continuation;
      socket.write(frameBytes(bytes.subarray(at, at + 1), { opcode, fin: at === bytes.length - 1 }));
    }
    await socket.until(() => socket.said.some(({ id }) => id === 'in-fragments'), 'pong');
    socket.destroy();
  });

  it('takes a good close for one, whatever its code', async () => {
    for (const code of [1000, 1001, 3000, 4999]) {
      const socket = await signIn();
      socket.write(frameBytes(closing(code), { opcode: OPCODE.close }));
      await socket.closed();
      expect(socket.closeCode).toBe(code);
    }
  });

  it('a ping flood is answered up to a point, and then it ends', async () => {
    const socket = await signIn();
    const flood = Buffer.concat(
      Array.from({ length: 5_000 }, () => frameBytes('x', { opcode: OPCODE.ping })),
    );
    socket.write(flood);
    await socket.closed();
    // Our own close, or that of `ws`, without a word, for a peer that does not take its pongs in time.
    expect([4008, undefined]).toContain(socket.closeCode);
  });

  it.each<[string, RegExp, string]>([
    ['no key', /^HTTP\/1\.1 400 /, handshake().replace(/Sec-WebSocket-Key.*\r\n/, '')],
    ['a key that is none', /^HTTP\/1\.1 400 /, handshake().replace(/(Sec-WebSocket-Key:).*\r\n/, '$1 x\r\n')],
    ['another version', /^HTTP\/1\.1 (400|426) /, handshake().replace('Version: 13', 'Version: 99')],
    ['another method', /^HTTP\/1\.1 405 /, handshake().replace('GET', 'POST')],
    ['another protocol', /^HTTP\/1\.1 [24]\d\d /, handshake().replace('Upgrade: websocket', 'Upgrade: h2c')],
    ['another path', /^HTTP\/1\.1 404 /, handshake([], '/ws/../other')],
    ['2,000 headers', /^HTTP\/1\.1 (101|400|413) /, handshake(manyHeaders(2_000))],
    ['64 KB of headers', /^HTTP\/1\.1 413 /, handshake([`X-Large: ${'x'.repeat(65_536)}`])],
    ['an extension named constructor', /^HTTP\/1\.1 (101|400) /, handshake(extension('constructor'))],
    ['an extension named __proto__', /^HTTP\/1\.1 (101|400) /, handshake(extension('__proto__; x=1'))],
    ['a broken extension header', /^HTTP\/1\.1 (101|400) /, handshake(extension('permessage-deflate;;=,,'))],
    ['no HTTP at all', /^HTTP\/1\.1 400 /, '\u0016\u0003\u0001 hello\r\n\r\n'],
    [
      'a device id that is none',
      /^HTTP\/1\.1 400 /,
      handshake(['Authorization: Bearer x'], '/ws?deviceId=%00'),
    ],
  ])('a handshake with %s is refused, or taken for what it is', async (_name, status, text) => {
    const socket = new RawSocket(node.url);
    socket.write(text);
    await socket.until(() => status.test(socket.text) || socket.isClosed, 'an answer');
    expect(socket.text).toMatch(status);
    expect(socket.text).not.toContain('    at ');
    socket.destroy();
  });

  it('a page of another origin comes in as anybody: it has no cookie to borrow, and needs a token', async () => {
    const socket = await RawWebSocket.open(node.url, ['Origin: https://evil.example']);
    socket.write(frameBytes(PING));
    await socket.until(() => socket.said.length > 0, 'an answer');
    expect(socket.said[0]).toMatchObject({ event: 'error', data: { code: 'unauthenticated' } });
    socket.destroy();
  });

  it('a slow handshake and silence after connecting are given up, in 4003 or without a word', async () => {
    const silent = await RawWebSocket.open(node.url);
    const socket = new RawSocket(node.url);
    socket.write('GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n');
    await silent.closed();
    expect(silent.closeCode).toBe(4003);
    await socket.closed();
    expect(socket.text).toMatch(/^(HTTP\/1\.1 400 |$)/);
  });

  it('a socket that is cut in the middle of a frame takes nothing with it', async () => {
    const body = { type: 'text', body: 'half of it' };
    const data = { to: randomUUID(), clientMessageId: 'half', content: body };
    const bytes = frameBytes(JSON.stringify({ event: 'message.send', id: 'half', data }));
    for (const length of [1, 2, 5, 40, bytes.length - 1]) {
      const socket = await signIn();
      socket.write(bytes.subarray(0, length));
      await new Promise((resolve) => setTimeout(resolve, 5));
      socket.destroy();
    }
  });
});

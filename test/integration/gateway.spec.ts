import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventLogUnavailable } from '../../src/application/ports/event-log';
import { newUser, startGateway, tokenOf, type GatewayHarness } from '../support/gateway-harness';
import type { RawDevice } from '../support/raw-device';

const at = 1_763_805_600_000;
const messageId = '01930000-0000-7000-8000-000000000001';
const conversationId = '01930000-0000-7000-8000-0000000000aa';

/** What the write side says to a send, as if every key were new. */
function accepted(command: object): object {
  const { input } = command as { input: { clientMessageId: string } };
  const event = { type: 'MessageSent', messageId, clientMessageId: input.clientMessageId, ordinal: 1 };
  const outcome = { kind: 'accepted', events: [{ conversationId, seq: 7, at, event }] };
  return { conversationId, outcome };
}

const send = (change: object = {}): object => ({
  conversationId,
  clientMessageId: 'key-1',
  content: { type: 'text', body: 'hi' },
  ...change,
});

describe('frames of a socket', () => {
  let gateway: GatewayHarness;
  let bystander: RawDevice;

  beforeAll(async () => {
    gateway = await startGateway();
    bystander = await gateway.device();
  });
  beforeEach(() => {
    gateway.backstage.execute = (command) => Promise.resolve(accepted(command));
  });
  afterEach(async () => {
    expect((await bystander.request('ping')).event).toBe('pong');
  });
  afterAll(async () => {
    await gateway.stop();
  });

  it('greets with who it is and what the limits are', async () => {
    const device = await gateway.stranger();
    const userId = newUser();
    const ready = await device.request('auth', { token: tokenOf(userId), deviceId: 'phone' });
    expect(ready).toMatchObject({
      event: 'ready',
      data: {
        userId,
        deviceId: 'phone',
        epoch: 'epoch-1',
        heartbeatMs: 25_000,
        limits: { bodyBytesMax: 16_384 },
      },
    });
    await device.close();
  });

  it('answers frames one after another, in order, each with its id', async () => {
    let running = 0;
    gateway.backstage.execute = async (command) => {
      expect(++running).toBe(1);
      await sleep(Math.random() * 4);
      running--;
      return accepted(command);
    };
    const device = await gateway.device();
    for (let n = 0; n < 40; n++) {
      device.sendText(
        JSON.stringify(
          n % 3 === 0
            ? { event: 'ping', id: `f${n}` }
            : { event: 'message.send', id: `f${n}`, data: send({ clientMessageId: `k${n}` }) },
        ),
      );
    }
    await device.waitFor((frame) => frame.id === 'f39');
    const ids = device.frames.filter((frame) => frame.id?.startsWith('f') === true).map((frame) => frame.id);
    expect(ids).toEqual(Array.from({ length: 40 }, (_, n) => `f${n}`));
    await device.close();
  });

  it('refuses a frame without id by an error without id', async () => {
    const device = await gateway.device();
    device.sendText('{"event":"message.send","data":{}}');
    const error = await device.waitFor((frame) => frame.event === 'error');
    expect('id' in error).toBe(false);
    await device.close();
  });

  it('stops reading a socket that sends faster than it can be served, and loses nothing', async () => {
    let go = (): void => undefined;
    const promise = new Promise<void>((resolve) => (go = resolve));
    gateway.backstage.execute = async (command) => {
      await promise;
      return accepted(command);
    };
    const device = await gateway.device();
    device.sendText(JSON.stringify({ event: 'message.send', id: 'first', data: send() }));
    const padding = 'x'.repeat(2_000);
    for (let n = 0; n < 10_000; n++) {
      device.sendText(JSON.stringify({ event: 'ping', id: `p${n}`, data: { padding } }));
    }
    await sleep(200);
    // 20 MB were sent; what the sockets between us do not hold stays with the sender.
    expect(device.socket.bufferedAmount).toBeGreaterThan(1_000_000);
    go();
    await device.waitFor((frame) => frame.id === 'p9999');
    expect(device.frames.filter((frame) => frame.id?.startsWith('p') === true)).toHaveLength(10_000);
    await device.close();
  });

  describe('that are wrong', () => {
    const depth = 20_000;
    it.each<[string, string | Buffer]>([
      ['no JSON', '{"event":'],
      ['nothing', ''],
      ['null', 'null'],
      ['a number', '42'],
      ['an array', '[{"event":"ping"}]'],
      ['trailing bytes', '{"event":"ping"}x'],
      ['no event', '{"id":"1","data":{}}'],
      ['an event that is no string', '{"event":7}'],
      ['one byte over the limit', JSON.stringify({ event: 'ping' }).padEnd(65_537)],
      [
        'a large frame that is no sync',
        JSON.stringify({ event: 'ping', data: { x: '"sync"' } }).padEnd(70_000),
      ],
      ['1 MB of body', JSON.stringify({ event: 'message.send', data: { b: 'x'.repeat(1_000_000) } })],
      ['a sync of one byte over 1 MiB', JSON.stringify({ event: 'sync' }).padEnd(1_048_577)],
      ['a binary frame', Buffer.from('{"event":"ping"}')],
      ['nothing but nesting', '['.repeat(depth) + ']'.repeat(depth)],
    ])('close 4001: %s', async (_name, bytes) => {
      const device = await gateway.device();
      device.socket.send(bytes, { binary: Buffer.isBuffer(bytes) });
      expect(await device.waitForClose()).toEqual({ code: 4001, reason: 'not a frame' });
    });

    it('close 4001: invalid UTF-8, also split over fragments', async () => {
      const device = await gateway.device();
      device.socket.send(Buffer.from([0x22, 0xff, 0x22]), { binary: false });
      expect((await device.waitForClose()).code).toBe(4001);
      const other = await gateway.device();
      other.socket.send(Buffer.from([0x22, 0xe2]), { binary: false, fin: false });
      other.socket.send(Buffer.from([0x22, 0x22]), { binary: false, fin: true });
      expect((await other.waitForClose()).code).toBe(4001);
    });

    it('close 4001: a message in endless fragments', async () => {
      const device = await gateway.device();
      for (let n = 0; n < 2_000; n++) device.socket.send('x', { fin: false });
      expect((await device.waitForClose()).code).toBe(4001);
    });

    it('answers what came before a frame that closes', async () => {
      gateway.backstage.execute = async (command) => {
        await sleep(20);
        return accepted(command);
      };
      const device = await gateway.device();
      device.sendText(JSON.stringify({ event: 'message.send', id: 'before', data: send() }));
      device.sendText('no frame');
      expect((await device.waitForClose()).code).toBe(4001);
      expect(device.frames.at(-1)).toMatchObject({ id: 'before', event: 'message.ack' });
    });

    it('takes frames at their limits', async () => {
      const device = await gateway.device();
      device.sendText(JSON.stringify({ event: 'ping', id: 'p' }).padEnd(65_536));
      expect((await device.waitFor((frame) => frame.id === 'p')).event).toBe('pong');
      gateway.backstage.sync = async (connection, _data, id) => {
        await connection.answer({
          event: 'sync.done',
          ...(id === undefined ? {} : { id }),
          data: { epoch: 'e', position: '0/0' },
        });
        return undefined;
      };
      device.sendText(JSON.stringify({ event: 'sync', id: 's' }).padEnd(1_048_576));
      expect((await device.waitFor((frame) => frame.id === 's')).event).toBe('sync.done');
      await device.close();
    });

    it.each<[string, string, object, string]>([
      [
        'a missing field',
        'message.send',
        { conversationId, content: { type: 'text', body: 'x' } },
        'clientMessageId',
      ],
      ['an extra field', 'message.send', send({ admin: true }), 'admin'],
      ['a wrong type', 'message.send', send({ clientMessageId: 7 }), 'clientMessageId'],
      ['a key of 65', 'message.send', send({ clientMessageId: 'x'.repeat(65) }), 'clientMessageId'],
      ['a key with control characters', 'message.send', send({ clientMessageId: 'a\nb' }), 'clientMessageId'],
      ['an unknown content', 'message.send', send({ content: { type: 'cake' } }), 'content'],
      ['blank text', 'message.send', send({ content: { type: 'text', body: ' \n\t' } }), 'content.body'],
      [
        'text of one byte too many',
        'message.send',
        send({ content: { type: 'text', body: `é${'x'.repeat(16_383)}` } }),
        'content.body',
      ],
      ['U+0000', 'message.send', send({ content: { type: 'text', body: 'a\u0000' } }), 'content.body'],
      [
        'a lone surrogate',
        'message.edit',
        { conversationId, target: 1, content: { type: 'text', body: '\ud800' } },
        'content.body',
      ],
      ['both receivers', 'message.send', send({ to: messageId }), 'to'],
      ['no receiver', 'message.send', send({ conversationId: undefined }), 'conversationId'],
      ['an id that is a path', 'read', { conversationId: '../../etc', upTo: 0 }, 'conversationId'],
      [
        'an id in upper case',
        'read',
        { conversationId: conversationId.toUpperCase(), upTo: 0 },
        'conversationId',
      ],
      ['a negative seq', 'read', { conversationId, upTo: -1 }, 'upTo'],
      ['a fraction', 'read', { conversationId, upTo: 1.5 }, 'upTo'],
      ['more than 2^53', 'read', { conversationId, upTo: 2 ** 53 }, 'upTo'],
      ['a seq that is text', 'read', { conversationId, upTo: '007' }, 'upTo'],
      ['a cursor of nothing', 'sync', { cursors: { 'x/../y': 3 } }, 'cursors'],
      ['a negative cursor', 'delivered', { cursors: { [conversationId]: -1 } }, 'cursors'],
      [
        'an emoji that is no text',
        'reaction.set',
        { conversationId, target: 1, emoji: '\ud800', on: true },
        'emoji',
      ],
      [
        'too many watched',
        'presence.watch',
        { userIds: Array.from({ length: 501 }, () => randomUUID()) },
        'userIds',
      ],
      ['an unknown status', 'presence.set', { status: 'offline' }, 'status'],
    ])('name the field: %s', async (_name, event, data, field) => {
      gateway.backstage.execute = () => Promise.reject(new Error('must not be reached'));
      const device = await gateway.device();
      const answer = await device.request(event, data);
      expect(answer).toMatchObject({ event: 'error', data: { code: 'invalid_input', retryable: false } });
      const fields = (answer.data['errors'] as { field: string }[]).map((error) => error.field);
      expect(fields.some((name) => name.startsWith(field))).toBe(true);
      expect((await device.request('ping')).event).toBe('pong');
      await device.close();
    });

    it.each<[string, string, string, string | undefined]>([
      ['an unknown event', '{"event":"message.burn","id":"a"}', 'event', 'a'],
      ['the name of a prototype', '{"event":"__proto__","id":"b"}', 'event', 'b'],
      ['another one', '{"event":"constructor","id":"c"}', 'event', 'c'],
      ['an unknown member', '{"event":"ping","id":"d","extra":1}', 'extra', 'd'],
      ['__proto__ beside the event', '{"event":"ping","id":"e","__proto__":{"x":1}}', '__proto__', 'e'],
      ['__proto__ in the data', '{"event":"ping","id":"f","data":{"__proto__":{"x":1}}}', '__proto__', 'f'],
      ['data that is no object', '{"event":"ping","id":"g","data":[]}', 'data', 'g'],
      ['data that is null', '{"event":"ping","id":"h","data":null}', 'data', 'h'],
      ['an id that is a number', '{"event":"ping","id":7}', 'id', undefined],
      ['an id that is too long', `{"event":"ping","id":"${'i'.repeat(65)}"}`, 'id', undefined],
      [
        '1e309',
        `{"event":"read","id":"j","data":{"conversationId":"${conversationId}","upTo":1e309}}`,
        'upTo',
        'j',
      ],
      [
        'a content with __proto__',
        `{"event":"message.send","id":"k","data":{"conversationId":"${conversationId}","clientMessageId":"k",
          "content":{"type":"encrypted","ciphertext":"x","scheme":"s","__proto__":"y"}}}`,
        'content.__proto__',
        'k',
      ],
      [
        'a signal that is too deep',
        `{"event":"call.signal","id":"l","data":{"conversationId":"${conversationId}","callId":"c",
          "toUserId":"${messageId}","signal":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`,
        'signal',
        'l',
      ],
      [
        'deep data',
        `{"event":"ping","id":"m","data":{"x":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`,
        'x',
        'm',
      ],
    ])('are answered: %s', async (_name, text, field, id) => {
      const device = await gateway.device();
      device.sendText(text);
      const answer = await device.waitFor((frame) => frame.event === 'error');
      expect(answer.id).toBe(id);
      expect(answer.data).toMatchObject({ code: 'invalid_input', errors: [{ field }] });
      expect((await device.request('ping')).event).toBe('pong');
      expect(({} as { x?: unknown }).x).toBeUndefined();
      await device.close();
    });

    it('keeps the last of duplicate keys, and nothing else', async () => {
      let seen: unknown;
      gateway.backstage.execute = (command) => {
        seen = (command as { input: unknown }).input;
        return Promise.resolve(accepted(command));
      };
      const device = await gateway.device();
      device.sendText(
        `{"event":"ping","event":"message.send","id":"a","id":"b","data":{"conversationId":"${conversationId}",
          "clientMessageId":"one","clientMessageId":"two","content":{"type":"text","body":"x"}}}`,
      );
      expect((await device.waitFor((frame) => frame.id === 'b')).data).toMatchObject({
        clientMessageId: 'two',
      });
      expect(seen).toMatchObject({ clientMessageId: 'two' });
      await device.close();
    });
  });

  describe('whose handling fails', () => {
    it('are answered by internal with a trace, and the socket goes on', async () => {
      const device = await gateway.device();
      gateway.backstage.execute = () => Promise.reject(new Error('boom'));
      const answer = await device.request('message.send', send());
      expect(answer.data).toMatchObject({ code: 'internal', status: 500, retryable: true });
      expect(answer.data['traceId']).toMatch(/^[0-9a-f-]{36}$/);
      expect(JSON.stringify(answer)).not.toContain('boom');
      gateway.backstage.execute = () => Promise.reject(new EventLogUnavailable('down'));
      const down = await device.request('message.send', send());
      expect(down.data).toMatchObject({
        code: 'unavailable',
        status: 503,
        retryable: true,
        retryAfterMs: 1_000,
      });
      expect((await device.request('ping')).event).toBe('pong');
      await device.close();
    });

    it.each([
      ['refused', { kind: 'refused', refusal: { code: 'blocked', detail: 'no', field: 'to' } }, 'blocked'],
      ['unavailable', { kind: 'unavailable', detail: 'later', retryAfterMs: 5 }, 'unavailable'],
    ])('tell the code of an outcome: %s', async (_name, outcome, code) => {
      gateway.backstage.execute = () => Promise.resolve({ conversationId, outcome });
      const device = await gateway.device();
      expect((await device.request('message.send', send())).data).toMatchObject({ code });
      await device.close();
    });

    it('acknowledge a repetition as one', async () => {
      const message = { messageId, seq: 3, ordinal: 2, at, contentHash: '' };
      gateway.backstage.execute = () =>
        Promise.resolve({ conversationId, outcome: { kind: 'repeated', message } });
      const device = await gateway.device();
      const ack = await device.request('message.send', send());
      expect(ack).toMatchObject({ event: 'message.ack', data: { seq: 3, ordinal: 2, duplicate: true } });
      await device.close();
    });
  });
});

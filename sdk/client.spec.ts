import { HEARTBEAT_GRACE_MS } from '../src/protocol/limits';
import { ANSWER_TIMEOUT_MS, CONNECT_TIMEOUT_MS, RATE_LIMIT_PAUSE_MS } from './connection';
import { ClientStopped, OutboxFull, ParleyError } from './errors';
import { OUTBOX_MAX } from './outbox';
import { MemoryOutboxStore } from './stores';
import { Bench, record, ROOM, settle } from './testing/bench';
import { ME, type FakeServer } from './testing/fake-server';

const bench = new Bench();
const device: Bench['device'] = (options) => bench.device(options);
let server: FakeServer;

beforeEach(() => {
  bench.open();
  ({ server } = bench);
});
afterEach(() => bench.close());

describe('connecting', () => {
  it('authenticates, catches up, then goes live', async () => {
    server.say(ROOM, 'before');
    const client = device();
    const heard = record(client);
    await client.connect();
    server.say(ROOM, 'after');
    await settle();
    expect(server.socket.url).toBe('ws://parley.test/ws');
    expect(server.socket.received[0]).toMatchObject({
      event: 'auth',
      data: { token: 'token-1', deviceId: 'phone' },
    });
    expect(heard).toEqual(['0:before', '1:after']);
    expect(client.userId).toBe(ME);
  });

  it('comes back after growing delays with full jitter', async () => {
    const client = device();
    const delays: number[] = [];
    client.on('disconnected', ({ retryInMs }) => delays.push(retryInMs));
    await client.connect();
    server.reachable = false;
    server.socket.cut();
    await settle(120_000);
    expect(delays.slice(0, 9)).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000]);
    server.reachable = true;
    await settle(15_000);
    expect(client.isConnected).toBe(true);
    server.socket.cut();
    await settle();
    expect(delays.at(-1)).toBe(125);
  });

  it.each([
    ['signedOut', 'signedOut'],
    ['notAFrame', 'notAFrame'],
    ['authTimeout', 'authTimeout'],
  ] as const)('stops on %s and says so', async (close, reason) => {
    const client = device();
    const stopped: string[] = [];
    client.on('stopped', (event) => stopped.push(event.reason));
    await client.connect();
    const { acked } = client.send({ conversationId: ROOM }, 'never');
    server.swallow.add('message.send');
    server.close(close);
    await settle(60_000);
    expect(stopped).toEqual([reason]);
    expect(server.dialled).toHaveLength(1);
    await expect(acked).rejects.toBeInstanceOf(ClientStopped);
  });

  it('waits as long as a draining node asks', async () => {
    const client = device();
    await client.connect();
    server.push({ event: 'reconnect', data: { afterMs: 3_000 } });
    await settle();
    server.close('draining');
    await settle(2_999);
    expect(server.dialled).toHaveLength(1);
    await settle(1);
    expect(client.isConnected).toBe(true);
  });

  it('pauses after the rate limit closed it', async () => {
    const client = device();
    await client.connect();
    server.close('rateLimited');
    await settle(RATE_LIMIT_PAUSE_MS);
    expect(server.dialled).toHaveLength(1);
    await settle(125);
    expect(client.isConnected).toBe(true);
  });

  it('asks for a new token once, then gives up', async () => {
    const asked: boolean[] = [];
    server.refusedTokens.add('old').add('also-old');
    let next = 'old';
    const tokenProvider = ({ renew }: { renew: boolean }): Promise<string> => {
      asked.push(renew);
      return Promise.resolve(renew ? next : 'old');
    };
    next = 'fresh';
    const client = device({ tokenProvider });
    const connected = client.connect();
    await settle();
    await connected;
    expect(asked).toEqual([false, true]);
    next = 'also-old';
    server.close('tokenInvalid');
    await settle(60_000);
    expect(asked).toEqual([false, true, true]);
    expect(client.isConnected).toBe(false);
  });

  it('cannot renew a bare token', async () => {
    server.refusedTokens.add('token-1');
    const connected = device().connect();
    const outcome = expect(connected).rejects.toMatchObject({ reason: 'tokenInvalid' });
    await settle();
    await outcome;
  });

  it('tries again when a connection does not come about', async () => {
    const client = device();
    server.swallow.add('auth');
    const connected = client.connect();
    await settle(CONNECT_TIMEOUT_MS);
    server.swallow.clear();
    await settle(125);
    await connected;
    expect(server.dialled).toHaveLength(2);
  });

  it('notices a silent line within a heartbeat and its grace', async () => {
    const client = device();
    await client.connect();
    await settle(60_000);
    expect(server.dialled).toHaveLength(1);
    server.swallow.add('ping');
    await settle(25_000 + HEARTBEAT_GRACE_MS);
    server.swallow.clear();
    await settle(1_000);
    expect(server.dialled).toHaveLength(2);
    expect(client.isConnected).toBe(true);
  });
});

describe('sending', () => {
  it('shows a message at once and gives it its place when it is stored', async () => {
    const client = device();
    await client.connect();
    server.say(ROOM, 'hello');
    await settle();
    const { message, acked } = client.send({ conversationId: ROOM }, 'hi');
    expect(message).toMatchObject({ state: 'pending', content: { type: 'text', body: 'hi' } });
    expect([...(client.conversations.get(ROOM)?.pending.values() ?? [])]).toEqual([message]);
    expect((await acked).seq).toBe(1);
    expect(message).toMatchObject({ state: 'sent', seq: 1, ordinal: 2 });
    expect(client.conversations.get(ROOM)?.messages.at(-1)).toBe(message);
    expect(client.conversations.get(ROOM)?.pending.size).toBe(0);
  });

  it('sends what was said offline, in order', async () => {
    const client = device();
    const said = ['one', 'two', 'three'].map((body) => client.send({ conversationId: ROOM }, body).acked);
    await client.connect();
    expect((await Promise.all(said)).map(({ seq }) => seq)).toEqual([0, 1, 2]);
  });

  it('stores a message once though its acknowledgement was lost', async () => {
    const client = device();
    await client.connect();
    server.mishaps.push('lose');
    const { acked } = client.send({ conversationId: ROOM }, 'once');
    await settle(1_000);
    expect(await acked).toMatchObject({ seq: 0, duplicate: true });
    expect(server.events(ROOM)).toHaveLength(1);
  });

  it('retries what is retryable without losing the order', async () => {
    const client = device();
    await client.connect();
    server.mishaps.push('rate_limited', 'unavailable');
    const acks = ['a', 'b'].map((body) => client.send({ conversationId: ROOM }, body).acked);
    await settle(200);
    expect((await Promise.all(acks)).map(({ seq }) => seq)).toEqual([0, 1]);
    const bodies = server.events(ROOM).map((event) => (event.data as { content: unknown }).content);
    expect(bodies).toEqual([
      { type: 'text', body: 'a' },
      { type: 'text', body: 'b' },
    ]);
  });

  it('surfaces a final refusal and goes on with the next message', async () => {
    const client = device();
    await client.connect();
    server.mishaps.push('forbidden');
    const changes: string[] = [];
    client.on('outbox', ({ kind }) => changes.push(kind));
    const refused = client.send({ conversationId: ROOM }, 'no');
    const next = client.send({ conversationId: ROOM }, 'yes');
    await expect(refused.acked).rejects.toBeInstanceOf(ParleyError);
    expect((await next.acked).seq).toBe(0);
    expect(refused.message.state).toBe('failed');
    expect(changes).toEqual(['queued', 'queued', 'refused', 'acknowledged']);
  });

  it('gives a connection up that does not answer, and sends again on the next', async () => {
    const client = device();
    await client.connect();
    server.swallow.add('message.send');
    const { acked } = client.send({ conversationId: ROOM }, 'again');
    await settle(ANSWER_TIMEOUT_MS);
    server.swallow.clear();
    await settle(1_000);
    expect((await acked).seq).toBe(0);
    expect(server.dialled).toHaveLength(2);
  });

  it('takes OUTBOX_MAX messages and not one more', async () => {
    const client = device();
    const acks = Array.from({ length: OUTBOX_MAX }, () => client.send({ conversationId: ROOM }, 'x').acked);
    const over = client.send({ conversationId: ROOM }, 'over');
    await expect(over.acked).rejects.toBeInstanceOf(OutboxFull);
    expect(over.message.state).toBe('failed');
    await client.connect();
    await Promise.all(acks);
    expect(server.events(ROOM)).toHaveLength(OUTBOX_MAX);
  });

  it('sends after a restart what was not acknowledged before, under the same key', async () => {
    const outboxStore = new MemoryOutboxStore();
    const first = device({ outboxStore });
    await first.connect();
    server.swallow.add('message.send');
    const { message, acked } = first.send({ conversationId: ROOM }, 'kept');
    await settle();
    await first.close();
    await expect(acked).rejects.toBeInstanceOf(ClientStopped);
    server.swallow.clear();
    await device({ outboxStore }).connect();
    await settle();
    expect(
      server.events(ROOM).map(({ data }) => (data as { clientMessageId: string }).clientMessageId),
    ).toEqual([message.clientMessageId]);
    expect(await outboxStore.load()).toEqual([]);
  });
});

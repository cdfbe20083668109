import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEDUPE_WINDOW_MAX } from '../../src/domain/conversation/state';
import { uuidv7 } from '../../src/kernel/uuid';
import { EventStoreProcess } from '../support/event-store-process';
import { createTestDatabase, type TestDatabase } from '../support/postgres';
import { RawDevice, type Frame } from '../support/raw-device';
import { call, registerUser } from '../support/rest';
import { buildServer, freePort, ServerProcess } from '../support/server-process';

const JWT_SECRET = 'the secret of a test, of at least thirty-two bytes';
const ROUNDS = 8;
const EVENTS_PAGE_MAX = 500;

/** Two gateways, each a process of its own, on one event store, which is a third. */
describe('one key through two processes', () => {
  let database: TestDatabase;
  let store: EventStoreProcess;
  let folder: string;
  let build: string;
  let nodes: [ServerProcess, ServerProcess];
  let token: string;
  let conversationId: string;
  let devices: RawDevice[] = [];

  const start = async (n: number, port?: number): Promise<ServerProcess> =>
    new ServerProcess(join(build, 'src', 'main.js'), {
      ROLES: 'gateway,projector',
      HOST: '127.0.0.1',
      PORT: String(port ?? (await freePort())),
      DATA_DIR: join(folder, `node-${n}`),
      EVENTSTORE_URL: store.url,
      DATABASE_URL: database.url,
      JWT_SECRET,
      RATE_LIMITS: 'off',
      LOG_LEVEL: 'warn',
    });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-two-'));
    [database, store, build] = await Promise.all([
      createTestDatabase(),
      EventStoreProcess.start(),
      buildServer(),
    ]);
    nodes = [await start(0), await start(1)];
    for (const node of nodes) await node.ready();
    const ada = await registerUser(nodes[0].url);
    token = ada.token;
    const bob = await registerUser(nodes[1].url);
    const made = await call(nodes[0].url, 'POST', '/api/v1/conversations', {
      token,
      body: { kind: 'group', memberIds: [bob.id], title: 'two' },
    });
    conversationId = (made.body as { id: string }).id;
  });
  afterAll(async () => {
    for (const device of devices) await device.close();
    for (const node of nodes) await node.destroy();
    await store.destroy();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A device of the same person on each node. */
  async function connect(): Promise<[RawDevice, RawDevice]> {
    for (const device of devices) await device.close();
    const both: [RawDevice, RawDevice] = [
      await RawDevice.signIn(nodes[0].url, token),
      await RawDevice.signIn(nodes[1].url, token),
    ];
    devices = both;
    return both;
  }
  const say = (device: RawDevice, clientMessageId: string, body = 'said'): Promise<Frame> =>
    device.request('message.send', { conversationId, clientMessageId, content: { type: 'text', body } });
  /** Says it again as long as the node asks for that. */
  async function sayUntilAnswered(device: RawDevice, key: string, body?: string): Promise<Frame> {
    for (;;) {
      const answer = await say(device, key, body);
      if (answer.event !== 'error' || answer.data['retryable'] !== true) return answer;
    }
  }
  const seqOf = ({ event, data }: Frame): number => {
    if (event !== 'message.ack') throw new Error(`answered by ${event} ${JSON.stringify(data)}`);
    return data['seq'] as number;
  };
  const refused = { event: 'error', data: { code: 'client_message_id_reused', retryable: false } };

  /** How often each key is in the log. */
  async function stored(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for (let after: number | undefined; ;) {
      const place = after === undefined ? '' : `after=${after}&`;
      const path = `/api/v1/conversations/${conversationId}/events?${place}limit=${EVENTS_PAGE_MAX}`;
      const { body } = await call(nodes[0].url, 'GET', path, { token });
      const { items, hasMore } = body as {
        items: { event: string; data: { seq: number; clientMessageId: string } }[];
        hasMore: boolean;
      };
      for (const { event, data } of items) {
        after = data.seq;
        if (event !== 'message.sent') continue;
        counts.set(data.clientMessageId, (counts.get(data.clientMessageId) ?? 0) + 1);
      }
      if (!hasMore) return counts;
    }
  }

  it('is one message, at once and after each of them was killed, and other content is refused', async () => {
    const before = await connect();
    const keys = Array.from({ length: ROUNDS }, () => uuidv7());
    const seqs = new Map<string, number>();
    for (const key of keys) {
      const answers = await Promise.all(before.map((device) => say(device, key)));
      const [one = -1, other = -2] = answers.map(seqOf);
      expect(other).toBe(one);
      expect(answers.filter(({ data }) => data['duplicate'] === false)).toHaveLength(1);
      seqs.set(key, one);
    }
    for (const n of [0, 1] as const) {
      const port = Number(new URL(nodes[n].url).port);
      nodes[n].signal('SIGKILL');
      await nodes[n].exit();
      nodes[n] = await start(n, port);
      await nodes[n].ready();
      const again = await connect();
      for (const key of keys) {
        for (const answer of await Promise.all(again.map((device) => say(device, key)))) {
          expect(answer.data).toMatchObject({ seq: seqs.get(key), duplicate: true });
        }
        const others = await Promise.all(again.map((device) => say(device, key, 'something else')));
        expect(others).toMatchObject([refused, refused]);
      }
    }
    const counts = await stored();
    expect(keys.map((key) => counts.get(key))).toEqual(keys.map(() => 1));
  });

  it('is one of two contents that come at once, and the other is refused', async () => {
    const both = await connect();
    for (let n = 0; n < ROUNDS; n++) {
      const key = uuidv7();
      const answers = await Promise.all(both.map((device, which) => say(device, key, `by ${which}`)));
      expect(answers.map(({ event }) => event).sort()).toEqual(['error', 'message.ack']);
      expect(answers.find(({ event }) => event === 'error')).toMatchObject(refused);
      // Whose it was stays so, on both.
      const won = answers.findIndex(({ event }) => event === 'message.ack');
      for (const device of both) {
        expect((await say(device, key, `by ${won}`)).data).toMatchObject({ duplicate: true });
        expect(await say(device, key, `by ${1 - won}`)).toMatchObject(refused);
      }
    }
  });

  it('is known when it has long left the window, in a process that never saw it', async () => {
    const key = 'made-up-by-hand';
    const both = await connect();
    const seq = seqOf(await say(both[0], key));
    const flood = Array.from({ length: DEDUPE_WINDOW_MAX + 1 }, () => say(both[0], uuidv7()));
    for (const answer of await Promise.all(flood)) seqOf(answer);
    const port = Number(new URL(nodes[1].url).port);
    nodes[1].signal('SIGKILL');
    await nodes[1].exit();
    nodes[1] = await start(1, port);
    await nodes[1].ready();
    const again = await connect();
    const answers = await Promise.all(again.map((device) => sayUntilAnswered(device, key)));
    expect(answers.map(({ data }) => data)).toMatchObject([
      { seq, duplicate: true },
      { seq, duplicate: true },
    ]);
    const others = await Promise.all(again.map((device) => sayUntilAnswered(device, key, 'something else')));
    expect(others).toMatchObject([refused, refused]);
    expect((await stored()).get(key)).toBe(1);
  });
});

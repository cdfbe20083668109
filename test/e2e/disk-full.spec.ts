import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventStoreProcess } from '../support/event-store-process';
import { createTestDatabase, type TestDatabase } from '../support/postgres';
import { RawDevice, type Frame } from '../support/raw-device';
import { call, registerUser, type TestUser } from '../support/rest';
import { fillDisk, FULL_DISK_WRAPPER, makeRoom, withProgram } from '../support/room';
import { eventually } from '../support/sdk-device';
import { freePort } from '../support/server-process';
import { startTestNode, type TestNode } from '../support/test-node';
import { exitOf, startTypeScript } from '../support/typescript-child';

const MAIN = join(__dirname, '..', '..', 'src', 'main.ts');
/** More than fit into the pages that a store has free. */
const SENDS_MAX = 2_000;
const REFUSED = 5;
const BODY = 'x'.repeat(4_000);

/** A node, and the process that keeps its log. */
interface Setup {
  readonly url: string;
  readonly pid: number;
  /** The file that the log is in. */
  readonly file: string;
  stop(): Promise<void>;
}

describe('the disk under the event log is full', () => {
  let folder: string;
  let database: TestDatabase;
  let setup: Setup | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-full-'));
    database = await createTestDatabase();
  });
  afterEach(async () => {
    if (setup !== undefined) makeRoom(setup.pid);
    await setup?.stop();
    setup = undefined;
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const embedded = async (): Promise<Setup> => {
    const port = await freePort();
    const child = startTypeScript(MAIN, [], {
      wrapper: FULL_DISK_WRAPPER,
      pipe: true,
      environment: {
        PORT: String(port),
        HOST: '127.0.0.1',
        DATA_DIR: folder,
        DATABASE_URL: database.url,
        EVENTSTORE_URL: '',
        RATE_LIMITS: 'off',
        LOG_LEVEL: 'silent',
      },
    });
    child.stdout?.resume();
    const url = `http://127.0.0.1:${port}`;
    const answers = async (): Promise<boolean> => (await fetch(`${url}/health/ready`)).ok;
    await eventually('a node that is ready', () => answers().catch(() => false));
    const stop = async (): Promise<void> => {
      child.kill('SIGTERM');
      await exitOf(child);
    };
    return { url, pid: child.pid ?? 0, file: join(folder, 'events', 'data.mdb'), stop };
  };
  const served = async (): Promise<Setup> => {
    const server = await EventStoreProcess.start(FULL_DISK_WRAPPER);
    const node: TestNode = await startTestNode({
      databaseUrl: database.url,
      eventStoreUrls: [server.url],
      eventStoreStreamPrefix: undefined,
      rateLimits: false,
    });
    const stop = async (): Promise<void> => {
      await node.stop();
      await server.destroy();
    };
    return { url: node.url, pid: server.pid, file: join(server.dataDir, 'events', 'data.mdb'), stop };
  };

  withProgram('prlimit', __filename).each([
    ['of the node', embedded],
    ['of a server of its own', served],
  ])('sends are refused as retryable, and stored once when there is room: the disk %s', async (_, start) => {
    const { url, pid, file } = (setup = await start());
    const [ann, bob] = [await registerUser(url, 'ann'), await registerUser(url, 'bob')];
    const device = await RawDevice.signIn(url, ann.token);
    const other = await RawDevice.signIn(url, bob.token);
    const acks = new Map<string, Frame>();
    const send = async (clientMessageId: string, body: string): Promise<Frame> => {
      const content = { type: 'text', body };
      const answer = await device.request('message.send', { to: bob.id, clientMessageId, content });
      if (answer.event === 'message.ack') acks.set(clientMessageId, answer);
      return answer;
    };
    const first = await send('first', 'hello');
    const id = String(first.data['conversationId']);

    fillDisk(pid, file);
    let answer: Frame = first;
    let sent = 0;
    for (; answer.event === 'message.ack' && sent < SENDS_MAX; sent++) answer = await send(`m${sent}`, BODY);
    const refused = [`m${sent - 1}`];
    for (let n = 0; n < REFUSED; n++) {
      expect(answer).toMatchObject({ event: 'error', data: { code: 'unavailable', retryable: true } });
      refused.push(`refused${n}`);
      answer = await send(`refused${n}`, BODY);
    }
    // Nobody is sent away, and whatever was there can be read.
    expect(await device.request('ping')).toMatchObject({ event: 'pong' });
    expect((await other.sync({ cursors: {} })).done.event).toBe('sync.done');
    const before = await eventsOf(url, ann, id);
    expect(keysIn(before)).toEqual([...acks.keys()]);

    makeRoom(pid);
    for (const key of refused) {
      await eventually('room', async () => (await send(key, BODY)).event === 'message.ack');
      const again = await send(key, BODY);
      expect(again.data).toMatchObject({ seq: acks.get(key)?.data['seq'], duplicate: true });
    }
    const after = await eventsOf(url, ann, id);
    expect(after.map(({ data }) => data.seq)).toEqual(after.map((_event, n) => n));
    expect(keysIn(after).toSorted()).toEqual([...acks.keys()].toSorted());
    const last = acks.get(refused.at(-1) ?? '')?.data['seq'];
    await other.waitFor(
      ({ event, data }) => event === 'message.sent' && data['seq'] === last,
      'the last one',
    );
    await device.close();
    await other.close();
  });
});

interface Event {
  readonly event: string;
  readonly data: { readonly seq: number; readonly clientMessageId?: string };
}

async function eventsOf(url: string, { token }: TestUser, id: string): Promise<readonly Event[]> {
  const events: Event[] = [];
  for (let hasMore = true; hasMore;) {
    const last = events.at(-1);
    const query = last === undefined ? 'limit=100' : `limit=100&after=${last.data.seq}`;
    const { body } = await call(url, 'GET', `/api/v1/conversations/${id}/events?${query}`, { token });
    const page = body as { readonly items: readonly Event[]; readonly hasMore: boolean };
    events.push(...page.items);
    hasMore = page.hasMore;
  }
  return events;
}

/** Keys of the messages, in their order. */
const keysIn = (events: readonly Event[]): unknown[] =>
  events.filter(({ event }) => event === 'message.sent').map(({ data }) => data.clientMessageId);

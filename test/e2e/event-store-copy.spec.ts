import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import type { ParleyApi } from '../../sdk/node';
import { newEvents } from '../support/engine-events';
import { EventStoreProcess } from '../support/event-store-process';
import { openTestDoor } from '../support/grpc-door';
import { createTestDatabase } from '../support/postgres';
import { RawDevice } from '../support/raw-device';
import { connectedDevice, eventually, signUp } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';
import { exitOf, startTypeScript } from '../support/typescript-child';

const SCRIPT = join(__dirname, '..', '..', 'tools', 'eventstore', 'main.ts');
const STREAMS = 40;
const EVENTS_EACH = 200;
const KILLS = Math.min(10, Number(process.env['KILL_ROUNDS'] ?? 1));

/** `npm run eventstore -- copy` as people run it. */
async function copy(
  ...options: string[]
): Promise<{ readonly code: number | string; readonly output: string }> {
  const child = startTypeScript(SCRIPT, ['copy', ...options], { pipe: true });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  return { code: await exitOf(child), output };
}

describe('npm run eventstore -- copy', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-copy-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('goes on after kill -9, and verifies what came out of it', async () => {
    const store = await EmbeddedEventStore.open({ path: folder });
    const streams = Array.from({ length: STREAMS }, (_, n) => `stream-${n}`);
    for (let n = 0; n < EVENTS_EACH; n += 50) {
      await Promise.all(streams.map((stream) => store.append(stream, newEvents(50), 'any')));
    }
    await store.close();
    const door = await openTestDoor();
    try {
      const url = `esdb://127.0.0.1:${door.port}?tls=false`;
      for (let kill = 1; kill <= KILLS; kill++) {
        const share = (0.8 * kill) / (KILLS + 1);
        const child = startTypeScript(SCRIPT, ['copy', '--from', folder, '--to', url]);
        await eventually('a part of it', () => door.store.head > share * STREAMS * EVENTS_EACH);
        child.kill('SIGKILL');
        expect(await exitOf(child)).toBe('SIGKILL');
        expect(door.store.head).toBeLessThan(STREAMS * EVENTS_EACH - 1);
      }
      const { code, output } = await copy('--from', folder, '--to', url);
      expect(output).toContain(
        `verified ${STREAMS * EVENTS_EACH} events of ${STREAMS} streams by SHA-256, 0 audit chains: 0 differences\n`,
      );
      expect(code).toBe(0);
    } finally {
      await door.close();
    }
  });

  it('moves a node to a server, where it serves the same', async () => {
    const database = await createTestDatabase();
    const server = await EventStoreProcess.start();
    const common = {
      databaseUrl: database.url,
      dataDir: folder,
      rateLimits: false,
      eventStoreStreamPrefix: undefined,
    };
    let node: TestNode | undefined;
    try {
      node = await startTestNode({ ...common, eventStoreUrls: undefined });
      const { jwtSecret } = node;
      const [ann, bob] = [await signUp(node.url, 'ann'), await signUp(node.url, 'bob')];
      const memberIds = [bob.session?.user.id ?? ''];
      const { id } = await ann.createConversation({ kind: 'group', title: 'tea', memberIds });
      const phone = await connectedDevice(node.url, ann, 'phone');
      for (let n = 0; n < 40; n++) await phone.client.send({ conversationId: id }, `m${n}`).acked;
      await phone.client.edit(id, 3, 'changed');
      await phone.client.react(id, 4, '👍');
      await phone.client.close();
      const seen = await whatIsSeen(node.url, bob, id);
      await node.stop();
      node = undefined;

      const { code, output } = await copy('--from', join(folder, 'events'), '--to', server.url);
      expect(output).toMatch(/ 1 audit chains: 0 differences\n$/);
      expect(code).toBe(0);
      node = await startTestNode({ ...common, jwtSecret, eventStoreUrls: [server.url] });
      expect(await whatIsSeen(node.url, bob, id)).toEqual(seen);
      const again = await connectedDevice(node.url, ann, 'phone');
      const { seq } = await again.client.send({ conversationId: id }, 'and on').acked;
      expect(seq).toBe(seen.events.length);
      await again.client.close();
    } finally {
      await node?.stop();
      await server.destroy();
      await database.drop();
    }
  });
});

/** The log and the history of a conversation, and whose log the node says that it has. */
async function whatIsSeen(url: string, who: ParleyApi, id: string) {
  const { accessToken = '' } = who.session ?? {};
  const get = async <T>(what: string): Promise<T[]> => {
    const response = await fetch(`${url}/api/v1/conversations/${id}/${what}`, {
      headers: { authorization: `Bearer ${accessToken}` },
    });
    expect(response.status).toBe(200);
    return ((await response.json()) as { items: T[] }).items;
  };
  const device = await RawDevice.open(url);
  const ready = await device.request('auth', { token: accessToken, deviceId: 'epoch' });
  await device.close();
  const events = await get<object>('events?limit=100');
  const messages = await get<object>(`messages?limit=100&minSeq=${events.length - 1}`);
  return { events, messages, epoch: ready.data['epoch'] };
}

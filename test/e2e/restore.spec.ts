import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { verifyReadModels } from '../../projections/verify';
import { MemoryCursorStore, MemoryOutboxStore, type ParleyApi } from '../../sdk/node';
import type { Config } from '../../src/config/config';
import { loadConfig } from '../../src/config/load-config';
import { OlderLog } from '../../src/infrastructure/postgres/source-log';
import { openStores } from '../../src/stores';
import { EventStoreProcess } from '../support/event-store-process';
import { createTestDatabase, type TestDatabase } from '../support/postgres';
import { RawDevice } from '../support/raw-device';
import { connectedDevice, eventually, signUp, type SdkDevice } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';
import { exitOf, startTypeScript } from '../support/typescript-child';
import { verifyAction } from '../support/verify-action';

const SCRIPT = join(__dirname, '..', '..', 'tools', 'eventstore', 'main.ts');
const MESSAGES = 20;

/** `npm run eventstore -- …` as an operator runs it. */
async function eventstore(options: readonly string[], environment: Record<string, string>): Promise<void> {
  const child = startTypeScript(SCRIPT, options, { pipe: true, environment });
  child.stdout?.resume();
  expect(await exitOf(child)).toBe(0);
}

/** Where the log is, and what an operator does to it. */
interface Store {
  readonly config: Partial<Config>;
  readonly folder: string;
  /** What the operator's shell has set. */
  readonly environment: Record<string, string>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

describe('restoring an older backup of the event log', () => {
  let folder: string;
  let database: TestDatabase;
  let node: TestNode | undefined;
  let server: EventStoreProcess | undefined;
  const open: SdkDevice[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-restore-'));
    database = await createTestDatabase();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map(({ client }) => client.close()));
    await node?.stop();
    await server?.destroy();
    [node, server] = [undefined, undefined];
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const embedded = (): Promise<Store> => {
    const config = { dataDir: folder, eventStoreUrls: undefined, eventStoreStreamPrefix: undefined };
    const nothing = (): Promise<void> => Promise.resolve();
    const environment = { DATA_DIR: folder, EVENTSTORE_URL: '' };
    return Promise.resolve({ config, folder, environment, stop: nothing, start: nothing });
  };
  const served = async (): Promise<Store> => {
    const process = (server = await EventStoreProcess.start());
    return {
      config: { eventStoreUrls: [process.url], eventStoreStreamPrefix: undefined },
      folder: process.dataDir,
      environment: { DATA_DIR: process.dataDir, EVENTSTORE_URL: process.url },
      stop: async () => {
        await process.end('SIGTERM');
      },
      start: () => process.start(),
    };
  };

  const device = async (url: string, api: ParleyApi, name: string, kept = {}): Promise<SdkDevice> => {
    const made = await connectedDevice(url, api, name, kept);
    open.push(made);
    return made;
  };
  const differences = async (config: Partial<Config>): Promise<readonly string[]> => {
    const whole = { ...loadConfig({ DATA_DIR: folder, DATABASE_URL: database.url }), ...config };
    const stores = await openStores(whole, pino({ level: 'silent' }));
    try {
      stores.startProjector();
      await stores.progress.waitForPosition(await stores.eventLog.head(), 30_000);
      const { eventLog, database: tables } = stores;
      const { conversations, differences: found } = await verifyReadModels({ eventLog, database: tables });
      expect(conversations).toBe(1);
      return found;
    } finally {
      await stores.close();
    }
  };

  it.each([
    ['in the node', embedded],
    ['in a server of its own', served],
  ])('makes the read models anew and has every device begin anew: the log %s', async (_, make) => {
    const store = await make();
    const common = { ...store.config, databaseUrl: database.url, rateLimits: false };
    node = await startTestNode(common);
    const { url, jwtSecret } = node;
    const [one, other] = [await signUp(url, 'ann'), await signUp(url, 'bob')];
    const { id } = await one.createConversation({
      kind: 'group',
      title: 'tea',
      memberIds: [other.session?.user.id ?? ''],
    });
    const state = {
      deviceId: 'tablet',
      cursorStore: new MemoryCursorStore(),
      outboxStore: new MemoryOutboxStore(),
    };
    const ann = await device(url, one, 'phone');
    const bob = await device(url, other, 'tablet', state);
    const send = async (what: string): Promise<number> => {
      let last = 0;
      for (let n = 0; n < MESSAGES; n++)
        last = (await ann.client.send({ conversationId: id }, `${what} ${n}`).acked).seq;
      return last;
    };

    const kept = await send('kept');
    await verifyAction(url, [ann, bob], () => bob.client.react(id, kept, '👍'));
    const backup = join(folder, 'backup');
    await eventstore(['backup', '--to', backup], store.environment);

    const lost = await send('lost');
    await eventually('all of it at the other device', () => headOf(bob, id) >= lost);
    for (const { seq } of bob.client.conversations.get(id)?.messages ?? [])
      if (seq !== undefined && seq > kept) await bob.client.delete(id, seq, 'me');
    await bob.client.close();
    const { epoch } = await state.cursorStore.load();
    await node.stop();
    await store.stop();
    await rm(join(store.folder, 'events'), { recursive: true });
    await rename(backup, join(store.folder, 'events'));
    await store.start();
    // The end of a server's log is not known so exactly.
    if (common.eventStoreUrls === undefined) await expect(differences(common)).rejects.toThrow(OlderLog);
    await eventstore(['new-epoch'], store.environment);

    node = await startTestNode({ ...common, jwtSecret, port: Number(new URL(url).port) });
    const raw = await RawDevice.signIn(url, other.session?.accessToken ?? '', {
      inspect: node.inspectFrame,
    });
    const { pages, done } = await raw.sync({ epoch, cursors: { [id]: lost }, window: 1_000 });
    await raw.close();
    expect(pages[0]?.data['epochChanged']).toBe(true);
    expect(done.data['epoch']).not.toBe(epoch);
    const events = pages
      .flatMap(({ data }) => data['conversations'] as Page[])
      .flatMap((page) => page.events);
    expect(events.map(({ data }) => data.seq)).toEqual(events.map((_, n) => n));
    expect(bodiesOf(events)).toEqual(Array.from({ length: MESSAGES }, (_, n) => `kept ${n}`));

    const back = await device(url, other, 'tablet', state);
    await eventually('the first device in sync', () => ann.client.isConnected && headOf(ann, id) < lost);
    await verifyAction(url, [ann, back], () => send('new'));
    await Promise.all(open.splice(0).map(({ client }) => client.close()));
    await node.stop();
    node = undefined;
    expect(await differences(common)).toEqual([]);
  });
});

interface Event {
  readonly event: string;
  readonly data: { readonly seq: number; readonly content?: { readonly body: string } };
}
interface Page {
  readonly events: readonly Event[];
}

const bodiesOf = (events: readonly Event[]): unknown[] =>
  events.filter(({ event }) => event === 'message.sent').map(({ data }) => data.content?.body);

const headOf = ({ client }: SdkDevice, id: string): number =>
  client.conversations.get(id)?.headSeq ?? Infinity;

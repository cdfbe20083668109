import { mkdtemp, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { openGrpcDoor, type GrpcDoor } from '../../embedded/grpc/server';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { asEventId } from '../../src/kernel/ids';
import { eventLogContract } from '../contracts/event-log.contract';
import type { OpenedLog } from '../contracts/event-log/fixture';
import { newEvent } from '../support/engine-events';
import { freshEventStore } from '../support/event-store-under-test';
import { openTestDoor } from '../support/grpc-door';

/** A store and its door, for all tests of a contract: none of them assumes that it begins empty. */
class Served {
  private path = '';
  private store: EmbeddedEventStore | undefined;
  private door: GrpcDoor | undefined;

  /** With a prefix the server is shared: others write to it meanwhile. */
  constructor(private readonly streamPrefix?: string) {}

  readonly open = async (): Promise<OpenedLog> => {
    if (this.store === undefined) await this.serve();
    let opened = this.connect();
    return {
      log: opened.log,
      reopen: async () => {
        await opened.close();
        await this.stop();
        await this.serve();
        opened = this.connect();
        return opened.log;
      },
      close: () => opened.close(),
    };
  };

  async end(): Promise<void> {
    await this.stop();
    if (this.path !== '') await rm(this.path, { recursive: true, force: true });
  }

  private async serve(): Promise<void> {
    if (this.path === '') this.path = await mkdtemp(join(tmpdir(), 'parley-door-'));
    this.store = await EmbeddedEventStore.open({ path: this.path });
    this.door = await openGrpcDoor(this.store, { port: 0, warn: () => undefined });
  }

  private async stop(): Promise<void> {
    await this.door?.close();
    await this.store?.close();
    this.store = undefined;
  }

  private connect(): { readonly log: EsdbEventLog; close(): Promise<void> } {
    const { store, door, streamPrefix } = this;
    if (store === undefined || door === undefined) throw new Error('nothing is served');
    const connectionString = `esdb://127.0.0.1:${door.port}?tls=false`;
    const log = new EsdbEventLog({
      connectionString,
      ...(streamPrefix === undefined ? {} : { streamPrefix }),
    });
    const neighbours = streamPrefix === undefined ? undefined : writeAlways(store);
    const close = async (): Promise<void> => {
      await neighbours?.stop();
      await log.close();
    };
    return { log, close };
  }
}

/** Other installations on the same server: without a prefix, and with one that resembles ours. */
function writeAlways(store: EmbeddedEventStore): { stop(): Promise<void> } {
  let stopped = false;
  const work = async (stream: string): Promise<void> => {
    while (!stopped) {
      await store.append(stream, [newEvent()], 'any');
      await sleep(2);
    }
  };
  const both = Promise.all(['contract-neighbour', 'shared-too.contract-neighbour'].map(work));
  return {
    stop: async () => {
      stopped = true;
      await both;
    },
  };
}

const [plain, prefixed] = [new Served(), new Served('shared')];
eventLogContract('EventStoreDB adapter, embedded gRPC door', plain.open);
eventLogContract('EventStoreDB adapter, a prefix on a shared server', prefixed.open);
afterAll(async () => {
  await plain.end();
  await prefixed.end();
});

it('keeps its streams apart from those of others on the same server', async () => {
  const door = await openTestDoor();
  const connectionString = `esdb://127.0.0.1:${door.port}?tls=false`;
  const open = (streamPrefix: string) => new EsdbEventLog({ connectionString, streamPrefix });
  const logs = [open('one'), open('one-b'), new EsdbEventLog({ connectionString })] as const;
  try {
    for (const log of logs) {
      const event = { id: asEventId(randomUUID()), type: 'Tested', data: {}, metadata: {} };
      await log.append('conversation-1', [event], { expected: 'noStream' });
      await log.setMaxCount('conversation-1', 1);
      await log.epoch();
    }
    const streams = async (log: EsdbEventLog): Promise<string[]> =>
      (await log.readAll({ limit: 100 })).events.map(({ stream }) => stream);
    expect(await streams(logs[0])).toEqual(['conversation-1']);
    expect(await streams(logs[1])).toEqual(['conversation-1']);
    expect(new Set(await Promise.all(logs.map((log) => log.epoch()))).size).toBe(3);
    const { events } = await door.store.readAll({ after: door.first - 1, limit: 100 });
    expect(events.map(({ stream }) => stream)).toEqual(
      ['one.', 'one-b.', ''].flatMap((prefix) => [
        `${prefix}conversation-1`,
        `$$${prefix}conversation-1`,
        `${prefix}parley-epoch`,
      ]),
    );
    expect(() => open('a.b')).toThrow(RangeError);
  } finally {
    for (const log of logs) await log.close();
    await door.close();
  }
});

const url = process.env['EVENTSTORE_URL'];
if (url === undefined || url === '') {
  process.stderr.write(
    '\nNOT RUN: the event-log contract against a real EventStoreDB; EVENTSTORE_URL is not set.\n',
  );
}
const againstServer = url === undefined || url === '' ? describe.skip : describe;

// Named in every run's output, skipped or not: a run without a server must not look like one with it.
againstServer('EventStoreDB adapter, the server at EVENTSTORE_URL', () => {
  eventLogContract('EventStoreDB server', () => {
    const { eventStoreStreamPrefix: streamPrefix = 'none' } = freshEventStore();
    const log = new EsdbEventLog({ connectionString: url ?? '', streamPrefix });
    return Promise.resolve({ log, close: () => log.close() });
  });
});

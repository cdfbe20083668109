import { mkdtemp, rm } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { openGrpcDoor } from '../../embedded/grpc/server';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { asEventId } from '../../src/kernel/ids';
import { eventLogContract } from '../contracts/event-log.contract';
import type { OpenedLog } from '../contracts/event-log/fixture';
import { newEvent } from '../support/engine-events';
import { freshEventStore } from '../support/event-store-under-test';
import { openTestDoor } from '../support/grpc-door';

/** Of a log on a door of its own; with a prefix, on one that others write to meanwhile. */
async function overTheDoor(streamPrefix?: string): Promise<OpenedLog> {
  const path = await mkdtemp(join(tmpdir(), 'parley-door-'));
  const open = async () => {
    const store = await EmbeddedEventStore.open({ path });
    const door = await openGrpcDoor(store, { port: 0, warn: () => undefined });
    const connectionString = `esdb://127.0.0.1:${door.port}?tls=false`;
    const log = new EsdbEventLog({
      connectionString,
      ...(streamPrefix === undefined ? {} : { streamPrefix }),
    });
    const neighbours = streamPrefix === undefined ? undefined : writeAlways(store);
    const close = async (): Promise<void> => {
      await neighbours?.stop();
      await log.close();
      await door.close();
      await store.close();
    };
    return { log, close };
  };
  let opened = await open();
  return {
    log: opened.log,
    reopen: async () => {
      await opened.close();
      opened = await open();
      return opened.log;
    },
    close: async () => {
      await opened.close();
      await rm(path, { recursive: true, force: true });
    },
  };
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

eventLogContract('EventStoreDB adapter, embedded gRPC door', overTheDoor);
eventLogContract('EventStoreDB adapter, a prefix on a shared server', () => overTheDoor('shared'));

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

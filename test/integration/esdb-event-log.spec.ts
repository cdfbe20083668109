import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { openGrpcDoor } from '../../embedded/grpc/server';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { eventLogContract } from '../contracts/event-log.contract';
import type { OpenedLog } from '../contracts/event-log/fixture';

async function overTheDoor(): Promise<OpenedLog> {
  const path = await mkdtemp(join(tmpdir(), 'parley-door-'));
  const open = async () => {
    const store = await EmbeddedEventStore.open({ path });
    const door = await openGrpcDoor(store, { port: 0, warn: () => undefined });
    const log = new EsdbEventLog({ connectionString: `esdb://127.0.0.1:${door.port}?tls=false` });
    const close = async (): Promise<void> => {
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

eventLogContract('EventStoreDB adapter, embedded gRPC door', overTheDoor);

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
    const log = new EsdbEventLog({ connectionString: url ?? '' });
    return Promise.resolve({ log, close: () => log.close() });
  });
});

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import type { EventLog } from '../../src/application/ports/event-log';
import { EmbeddedEventLog } from '../../src/infrastructure/event-log/embedded/embedded-event-log';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';

interface BenchedLog {
  readonly log: EventLog;
  close(): Promise<void>;
}

export interface BenchedAdapter {
  readonly name: string;
  open(): Promise<BenchedLog>;
}

const SERVER = join(__dirname, '..', '..', 'tools', 'eventstore', 'main.js');
const SERVER_SAYS = /(esdb:\/\/\S+)/;

/** What can be measured on this machine: a real server only when its address is given. */
export function adapters(eventStoreUrl: string | undefined): readonly BenchedAdapter[] {
  return [
    { name: 'memory', open: openMemory },
    { name: 'embedded, in process', open: openEmbedded },
    { name: 'adapter, gRPC door of another process', open: openDoor },
    ...(eventStoreUrl === undefined
      ? []
      : [{ name: 'adapter, EVENTSTORE_URL', open: () => openServer(eventStoreUrl) }]),
  ];
}

async function openMemory(): Promise<BenchedLog> {
  await Promise.resolve();
  return { log: new MemoryEventLog(), close: async () => Promise.resolve() };
}

async function openEmbedded(): Promise<BenchedLog> {
  const path = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  const store = await EmbeddedEventStore.open({ path });
  return {
    log: new EmbeddedEventLog(store),

    close: async () => {
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function openDoor(): Promise<BenchedLog> {
  const path = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  const server = spawn(process.execPath, [SERVER], {
    env: { PATH: process.env['PATH'] ?? '', DATA_DIR: path, EVENTSTORE_GRPC_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const log = new EsdbEventLog({ connectionString: await addressOf(server) });
  return {
    log,
    close: async () => {
      await log.close();
      server.kill('SIGTERM');
      await once(server, 'exit');
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function openServer(connectionString: string): Promise<BenchedLog> {
  await Promise.resolve();
  const log = new EsdbEventLog({ connectionString });
  return { log, close: () => log.close() };
}

/** @throws Error when the server ends before it says where it is */
async function addressOf(server: ChildProcess): Promise<string> {
  if (server.stdout === null) throw new Error('the event store has no output');
  for await (const line of createInterface({ input: server.stdout })) {
    const address = SERVER_SAYS.exec(line)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error('the event store ended before it was ready');
}

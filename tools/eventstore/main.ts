import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { openGrpcDoor } from '../../embedded/grpc/server';
import { acquireInstanceLock } from '../../embedded/instance-lock';
import { loadConfig } from '../../src/config/load-config';

const PORT_DEFAULT = 2113;

/** The embedded engine as a server of its own, on loopback, until it is told to end. */
async function main(): Promise<void> {
  const config = loadConfig({ ...process.env, EVENTSTORE_URL: '', EVENTSTORE_STREAM_PREFIX: '' });
  const lock = await acquireInstanceLock(config.dataDir);
  const path = join(config.dataDir, 'events');
  const store = await EmbeddedEventStore.open({ path });
  const warn = (message: string): void => {
    process.stderr.write(`${message}\n`);
  };
  const door = await openGrpcDoor(store, { port: config.eventStoreGrpcPort ?? PORT_DEFAULT, warn });
  process.stdout.write(`event store ${path} on esdb://${door.host}:${door.port}?tls=false\n`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
  });
  await door.close();
  await store.close();
  await lock.release();
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { readProtection } from '../../embedded/grpc/protection';
import { openGrpcDoor } from '../../embedded/grpc/server';
import { acquireInstanceLock } from '../../embedded/instance-lock';
import type { Config } from '../../src/config/config';
import { loadConfig } from '../../src/config/load-config';
import { startFailure } from '../../src/start-failure';
import { assertNever } from '../../src/kernel/assert-never';
import { eventStoreCommand, USAGE, WrongArguments, type EventStoreCommand } from './arguments';
import { runCopy } from './copy/run-copy';
import { reshard } from './reshard/reshard';
import { backUp, beginEpoch, check, repair } from './upkeep';

const PORT_DEFAULT = 2113;

/** What a node would be told, but for a server it may use: these commands are about the engine. */
const embeddedConfig = (): Config =>
  loadConfig({ ...process.env, EVENTSTORE_URL: '', EVENTSTORE_STREAM_PREFIX: '' });
const eventsFolder = (): string => join(embeddedConfig().dataDir, 'events');

/** The embedded engine as a server of its own, until it is told to end. */
async function serve(): Promise<void> {
  const config = embeddedConfig();
  const lock = await acquireInstanceLock(config.dataDir);
  const path = join(config.dataDir, 'events');
  const store = await EmbeddedEventStore.open({ path });
  const warn = (message: string): void => {
    process.stderr.write(`${message}\n`);
  };
  const protection = await readProtection(config.eventStoreGrpcProtection);
  const port = config.eventStoreGrpcPort ?? PORT_DEFAULT;
  const door = await openGrpcDoor(store, { ...protection, port, warn });
  const tls = protection.tls === undefined ? '?tls=false' : '';
  process.stdout.write(`event store ${path} on esdb://${door.host}:${door.port}${tls}\n`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve);
  });
  await door.close();
  await store.close();
  await lock.release();
}

async function reshardStores(
  { eventStoreUrls: from, eventStoreStreamPrefix: streamPrefix }: Config,
  to: string,
  say: (line: string) => void,
): Promise<boolean> {
  if (from === undefined)
    throw new WrongArguments(
      'EVENTSTORE_URL must name the store of today; the embedded one is served by this program',
    );
  return reshard({ from, to: to.trim().split(/\s+/), streamPrefix }, say);
}

/** @returns whether all is as it should be */
async function run(command: EventStoreCommand): Promise<boolean> {
  const say = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  switch (command.kind) {
    case 'serve':
      await serve();
      return true;
    case 'copy':
      return runCopy({ from: command.from ?? eventsFolder(), to: command.to }, say);
    case 'backup':
      say(await backUp(eventsFolder(), command.to));
      return true;
    case 'check':
      say(await check(command.from ?? eventsFolder()));
      return true;
    case 'repair':
      say(await repair(eventsFolder()));
      return true;
    case 'reshard':
      return reshardStores(loadConfig(process.env), command.to, say);
    case 'newEpoch':
      say(await beginEpoch(loadConfig(process.env)));
      return true;
    default:
      return assertNever(command);
  }
}

async function main(): Promise<void> {
  process.exitCode = (await run(eventStoreCommand(process.argv.slice(2)))) ? 0 : 1;
}

main().catch((error: unknown) => {
  const usage = error instanceof WrongArguments ? `\n\n${USAGE}` : '';
  const failure = startFailure(error);
  const reason = failure?.reason ?? (error instanceof Error ? error.message : String(error));
  process.stderr.write(`${reason.trimStart()}${usage}\n`);
  process.exitCode = failure?.exitCode ?? 1;
});

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { EmbeddedEventStore } from '../embedded/engine/event-store';
import { openGrpcDoor } from '../embedded/grpc/server';
import { acquireInstanceLock } from '../embedded/instance-lock';
import { startEmbeddedPostgres } from '../embedded/postgres';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../projections/live';
import { Projector, type ProjectorOptions } from '../projections/runner/projector';
import type { EventLog } from './application/ports/event-log';
import type { Config } from './config/config';
import { EmbeddedEventLog } from './infrastructure/event-log/embedded/embedded-event-log';
import { EsdbEventLog } from './infrastructure/event-log/esdb/esdb-event-log';
import { Database } from './infrastructure/postgres/database';
import { migrate } from './infrastructure/postgres/migrate';
import { PostgresProjectionProgress } from './infrastructure/postgres/projection-progress';
import { SystemClock } from './kernel/clock';
import { Metrics } from './observability/metrics';

/** Requests of this node at the same time; more of them wait for a connection. */
const REQUEST_CONNECTIONS_MAX = 16;
/** The projector's own: it must go on while requests hold all of theirs. */
const PROJECTOR_CONNECTIONS_MAX = 4;

/** Who is told how the projector of this process gets on. */
export type ProjectorObserver = Pick<ProjectorOptions, 'onProgress' | 'onPoison'>;

/** What the process keeps its truth in, open. */
export interface Stores {
  readonly eventLog: EventLog;
  readonly database: Database;
  readonly progress: PostgresProjectionProgress;
  /** For people: where each store is. */
  readonly places: { readonly eventStore: string; readonly postgres: string };
  /** Begins to keep the read models up to date; ended by `close`. */
  startProjector(observer?: ProjectorObserver): void;
  /** In the reverse order of opening. Once is enough. */
  close(): Promise<void>;
}

type Closer = () => Promise<void> | void;

/**
 * Opens the stores that the configuration names, embedded ones under `dataDir`; migrates the database.
 * @throws InstanceRunning when another process works in `dataDir`; whatever the stores throw. What was open
 *   already is closed again then.
 */
export async function openStores(
  config: Config,
  log: Logger,
  metrics: Metrics = new Metrics(),
): Promise<Stores> {
  const closers: Closer[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return await open(config, log, metrics, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  config: Config,
  log: Logger,
  metrics: Metrics,
  closers: Closer[],
  close: () => Promise<void>,
): Promise<Stores> {
  if (config.eventStoreUrl === undefined || config.databaseUrl === undefined) {
    // Several processes may share the folder as long as no store of theirs is in it.
    const lock = await acquireInstanceLock(config.dataDir);
    closers.push(() => lock.release());
  }
  const { eventLog, place } = await openEventLog(config, log, closers);
  const url = config.databaseUrl ?? (await embeddedPostgres(config, log, closers));
  await migrate(url);
  const database = new Database(url, { connectionsMax: REQUEST_CONNECTIONS_MAX, name: 'parley', metrics });
  closers.push(() => database.close());
  const progress = new PostgresProjectionProgress(database, {
    group: LIVE_GROUP,
    projections: LIVE_PROJECTIONS.map(({ name }) => name),
  });
  progress.start();
  closers.push(() => {
    progress.stop();
  });
  return {
    eventLog,
    database,
    progress,
    places: { eventStore: place, postgres: placeOf(config, url) },
    startProjector: (observer = {}) => {
      closers.push(startProjector(url, eventLog, progress, { log, metrics, observer }));
    },
    close,
  };
}

async function openEventLog(
  config: Config,
  log: Logger,
  closers: Closer[],
): Promise<{ readonly eventLog: EventLog; readonly place: string }> {
  if (config.eventStoreUrl !== undefined) {
    const { eventStoreUrl: connectionString, eventStoreStreamPrefix: streamPrefix } = config;
    const eventLog = new EsdbEventLog({
      connectionString,
      ...(streamPrefix === undefined ? {} : { streamPrefix }),
    });
    closers.push(() => eventLog.close());
    // Host and port, never the password or the options.
    const place = config.eventStoreUrl.replace(/^[^/]*\/\/([^@/]*@)?/, '').replace(/[/?].*$/s, '');
    return { eventLog, place };
  }
  const path = join(config.dataDir, 'events');
  const engine = await EmbeddedEventStore.open({ path });
  closers.push(() => engine.close());
  const embedded = `embedded, ${path}`;
  if (config.eventStoreGrpcPort === undefined) {
    return { eventLog: new EmbeddedEventLog(engine), place: embedded };
  }
  const door = await openGrpcDoor(engine, {
    port: config.eventStoreGrpcPort,
    warn: (message) => {
      log.warn(message);
    },
  });
  closers.push(() => door.close());
  const place = `${embedded}, gRPC on ${door.host}:${door.port}`;
  return { eventLog: new EmbeddedEventLog(engine), place };
}

async function embeddedPostgres(config: Config, log: Logger, closers: Closer[]): Promise<string> {
  const postgres = await startEmbeddedPostgres({
    dataDir: join(config.dataDir, 'postgres'),
    log: (message) => {
      log.info({ from: 'postgres' }, message);
    },
  });
  closers.push(() => postgres.stop());
  return postgres.url;
}

/** Host and database, never the password. */
function placeOf(config: Config, url: string): string {
  const { hostname: host, port, pathname } = new URL(url);
  const kind = config.databaseUrl === undefined ? `embedded, ${join(config.dataDir, 'postgres')}, ` : '';
  return `${kind}${host}:${port || '5432'}${pathname}`;
}

function startProjector(
  url: string,
  eventLog: EventLog,
  progress: PostgresProjectionProgress,
  told: { readonly log: Logger; readonly metrics: Metrics; readonly observer: ProjectorObserver },
): Closer {
  const { log, metrics, observer } = told;
  const database = new Database(url, {
    connectionsMax: PROJECTOR_CONNECTIONS_MAX,
    name: 'parley-projector',
    metrics,
  });
  const projector = new Projector({
    eventLog,
    database,
    projections: LIVE_PROJECTIONS,
    group: LIVE_GROUP,
    owner: `${hostname()}/${process.pid}/${randomUUID()}`,
    clock: new SystemClock(),
    log,
    onProgress: (made) => {
      progress.notifyLocal(made.position);
      observer.onProgress?.(made);
    },
    ...(observer.onPoison === undefined ? {} : { onPoison: observer.onPoison }),
  });
  projector.start();
  return async () => {
    await projector.stop();
    await database.close();
  };
}

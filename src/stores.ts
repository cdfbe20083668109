import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { EmbeddedEventStore } from '../embedded/engine/event-store';
import { readProtection } from '../embedded/grpc/protection';
import { openGrpcDoor } from '../embedded/grpc/server';
import { acquireInstanceLock } from '../embedded/instance-lock';
import { startEmbeddedPostgres } from '../embedded/postgres';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../projections/live';
import { Projector, type ProjectorOptions } from '../projections/runner/projector';
import type { EventLog } from './application/ports/event-log';
import { isTracing } from './application/ports/tracing';
import type { Config } from './config/config';
import { parseRedisUrl, placesOf } from './config/redis-url';
import { EmbeddedEventLog } from './infrastructure/event-log/embedded/embedded-event-log';
import { EsdbEventLog } from './infrastructure/event-log/esdb/esdb-event-log';
import { Database } from './infrastructure/postgres/database';
import { migrate } from './infrastructure/postgres/migrate';
import { PostgresProjectionProgress } from './infrastructure/postgres/projection-progress';
import { openRedis, type RedisPorts } from './infrastructure/redis/redis-ports';
import { SystemClock } from './kernel/clock';
import type { ThreadStart } from './projector-thread/messages';
import {
  PROJECTOR_CONNECTIONS_MAX,
  ProjectorThread,
  type OnGrowth,
  type ProjectorThreadOptions,
} from './projector-thread/projector-thread';
import { Metrics } from './observability/metrics';

/** Requests of this node at the same time; more of them wait for a connection. */
const REQUEST_CONNECTIONS_MAX = 16;
/** Compiled, as always but in specs that run from the sources: those have no file to start a thread from. */
const IS_COMPILED = __filename.endsWith('.js');

/** Who is told how the projector of this process gets on. */
export type ProjectorObserver = Pick<ProjectorOptions, 'onProgress' | 'onPoison'>;

/** What the process keeps its truth in, open. */
export interface Stores {
  readonly eventLog: EventLog;
  readonly database: Database;
  readonly progress: PostgresProjectionProgress;
  /** undefined: this node knows of no others. */
  readonly redis: RedisPorts | undefined;
  /** For people: where each store is. */
  readonly places: { readonly eventStore: string; readonly postgres: string; readonly redis: string };
  /** Begins to keep the read models up to date; ended by `close`. */
  startProjector(observer?: ProjectorObserver): void;
  /** In the reverse order of opening. Once is enough. */
  close(): Promise<void>;
}

type Engine = EmbeddedEventStore;
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
  const { eventLog, place, engine } = await openEventLog(config, log, closers);
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
  const redis = redisOf(config, log, closers);
  return {
    eventLog,
    database,
    progress,
    redis,
    places: {
      eventStore: place,
      postgres: placeOf(config, url),
      redis:
        config.redisUrl === undefined ? 'none, this node is alone' : placesOf(parseRedisUrl(config.redisUrl)),
    },
    startProjector: (observer = {}) => {
      const told = { log, metrics, progress, observer };
      closers.push(
        IS_COMPILED
          ? startProjectorThread(url, sourceOf(config, engine), told)
          : startProjector(url, eventLog, told),
      );
    },
    close,
  };
}

const eventsFolder = ({ dataDir }: Config): string => join(dataDir, 'events');

async function openEventLog(
  config: Config,
  log: Logger,
  closers: Closer[],
): Promise<{ readonly eventLog: EventLog; readonly place: string; readonly engine?: Engine }> {
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
  const path = eventsFolder(config);
  const engine = await EmbeddedEventStore.open({ path });
  closers.push(() => engine.close());
  const embedded = `embedded, ${path}`;
  if (config.eventStoreGrpcPort === undefined) {
    return { eventLog: new EmbeddedEventLog(engine), place: embedded, engine };
  }
  const door = await openGrpcDoor(engine, {
    ...(await readProtection(config.eventStoreGrpcProtection)),
    port: config.eventStoreGrpcPort,
    warn: (message) => {
      log.warn(message);
    },
  });
  closers.push(() => door.close());
  const place = `${embedded}, gRPC on ${door.host}:${door.port}`;
  return { eventLog: new EmbeddedEventLog(engine), place, engine };
}

/** Only nodes that devices connect to have anything to tell each other. */
function redisOf(config: Config, log: Logger, closers: Closer[]): RedisPorts | undefined {
  if (config.redisUrl === undefined || !config.roles.has('gateway')) return undefined;
  const redis = openRedis({
    url: config.redisUrl,
    socketsPerUserMax: config.limits.socketsPerUserMax,
    log: {
      warn: (message) => {
        log.warn({ from: 'redis' }, message);
      },
    },
  });
  closers.push(() => {
    redis.close();
  });
  return redis;
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

interface Told {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly progress: PostgresProjectionProgress;
  readonly observer: ProjectorObserver;
}

/** What the projector's thread follows, and how it hears that there is more. */
function sourceOf(
  config: Config,
  engine: Engine | undefined,
): Pick<ProjectorThreadOptions, 'growth'> & Pick<ThreadStart, 'source'> {
  if (engine !== undefined) {
    const on: OnGrowth = (listener) => engine.onGrowth(listener);
    return { source: { kind: 'embedded', path: eventsFolder(config) }, growth: { head: engine.head, on } };
  }
  const { eventStoreUrl: connectionString = '', eventStoreStreamPrefix: streamPrefix } = config;
  const prefix = streamPrefix === undefined ? {} : { streamPrefix };
  return { source: { kind: 'esdb', connectionString, ...prefix }, growth: undefined };
}

function startProjectorThread(
  databaseUrl: string,
  { source, growth }: ReturnType<typeof sourceOf>,
  { log, metrics, progress, observer }: Told,
): Closer {
  const thread = new ProjectorThread({
    start: { databaseUrl, source, traced: isTracing() },
    growth,
    log,
    metrics,
    onProgress: (made) => {
      progress.notifyLocal(made.position);
      observer.onProgress?.(made);
    },
    onPoison: (event, error) => observer.onPoison?.(event, error),
  });
  return () => thread.stop();
}

function startProjector(url: string, eventLog: EventLog, { log, metrics, progress, observer }: Told): Closer {
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

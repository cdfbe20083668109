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
import { StoreUnavailable } from './application/ports/store-unavailable';
import { isTracing } from './application/ports/tracing';
import type { Config } from './config/config';
import { parseRedisUrl, placesOf } from './config/redis-url';
import { EmbeddedEventLog } from './infrastructure/event-log/embedded/embedded-event-log';
import { openServerLog, type ServerLogEvents } from './infrastructure/event-log/server-log';
import { checkAlone } from './infrastructure/event-log/sharded/arrangement';
import { Database } from './infrastructure/postgres/database';
import { areSources } from './infrastructure/postgres/source-log';
import { migrate } from './infrastructure/postgres/migrate';
import { refuseOlderLog } from './infrastructure/postgres/source-log';
import { PostgresProjectionProgress } from './infrastructure/postgres/projection-progress';
import { openRedis, type RedisPorts } from './infrastructure/redis/redis-ports';
import { SystemClock } from './kernel/clock';
import { ReadModelsSource } from './read-models-source';
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
  /** Resolves when it shows, after the start, that these are not the stores they should be: the process is to end. */
  readonly failed: Promise<Error>;
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
  if (config.eventStoreUrls === undefined || config.databaseUrl === undefined) {
    // Several processes may share the folder as long as no store of theirs is in it.
    const lock = await acquireInstanceLock(config.dataDir);
    closers.push(() => lock.release());
  }
  /** What the log asks for comes after it. */
  const later: { progress?: PostgresProjectionProgress; tables?: Database } = {};
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const {
    eventLog,
    place,
    source: projectorSource,
  } = await openEventLog(config, log, closers, {
    onOthers: fail,
    readModels: async () => {
      if (later.progress === undefined) throw new StoreUnavailable('the database is not open yet');
      return later.progress.reached();
    },
    isKnown: async (numbering) => {
      if (later.tables === undefined) throw new StoreUnavailable('the database is not open yet');
      return areSources(later.tables, [numbering]);
    },
  });
  const url = config.databaseUrl ?? (await embeddedPostgres(config, log, closers));
  await migrate(url);
  const database = new Database(url, { connectionsMax: REQUEST_CONNECTIONS_MAX, name: 'parley', metrics });
  later.tables = database;
  closers.push(() => database.close());
  const source = await bindReadModels(database, eventLog, log, closers);
  if (config.eventStoreUrls === undefined) await refuseOlderLog(database, await eventLog.head());
  const progress = followProgress(database, closers);
  later.progress = progress;
  const redis = redisOf(config, log, closers);
  return {
    eventLog,
    database,
    progress,
    redis,
    failed,
    places: {
      eventStore: place,
      postgres: placeOf(config, url),
      redis:
        config.redisUrl === undefined ? 'none, this node is alone' : placesOf(parseRedisUrl(config.redisUrl)),
    },
    startProjector: (observer = {}) => {
      const told = { log, metrics, progress, observer };
      closers.push(
        startedAfter(source.bound, () => {
          // Waits that ended by the checkpoints of another log have to be asked again.
          void progress.current();
          return IS_COMPILED
            ? startProjectorThread(url, projectorSource, told)
            : startProjector(url, eventLog, told);
        }),
      );
    },
    close,
  };
}

/** Of this log, or about to be, when it is away. */
async function bindReadModels(
  database: Database,
  eventLog: EventLog,
  log: Logger,
  closers: Closer[],
): Promise<ReadModelsSource> {
  const source = new ReadModelsSource(database, eventLog, log);
  closers.push(() => {
    source.end();
  });
  await source.settled();
  return source;
}

function followProgress(database: Database, closers: Closer[]): PostgresProjectionProgress {
  const progress = new PostgresProjectionProgress(database, {
    group: LIVE_GROUP,
    projections: LIVE_PROJECTIONS.map(({ name }) => name),
  });
  progress.start();
  closers.push(() => {
    progress.stop();
  });
  return progress;
}

/** @returns what ends it, or keeps it from starting at all */
function startedAfter(event: Promise<void>, start: () => Closer): Closer {
  let end: Closer | undefined = () => undefined;
  void event.then(() => {
    if (end !== undefined) end = start();
  });
  return async () => {
    const ending = end;
    end = undefined;
    await ending?.();
  };
}

const eventsFolder = ({ dataDir }: Config): string => join(dataDir, 'events');

interface OpenLog {
  readonly eventLog: EventLog;
  readonly place: string;
  readonly source: ProjectorSource;
}

type LateEvents = Required<Pick<ServerLogEvents, 'isKnown' | 'onOthers' | 'readModels'>>;

async function openServers(
  given: readonly string[],
  { eventStoreStreamPrefix }: Config,
  log: Logger,
  closers: Closer[],
  late: LateEvents,
): Promise<OpenLog> {
  const prefix = eventStoreStreamPrefix === undefined ? {} : { streamPrefix: eventStoreStreamPrefix };
  const opened = await openServerLog(
    { urls: given, ...prefix },
    {
      onAway: (shard, error) => {
        log.warn({ err: error, shard: shard + 1 }, 'a shard is away; its conversations wait for it');
      },
      onBack: (shard) => {
        log.info({ shard: shard + 1 }, 'a shard is back');
      },
      ...late,
    },
  );
  closers.push(() => opened.close());
  const { log: eventLog, places } = opened;
  const source: ProjectorSource = { source: { kind: 'esdb', urls: given, ...prefix }, growth: undefined };
  return { eventLog, place: places.join(', '), source };
}

async function openEventLog(
  config: Config,
  log: Logger,
  closers: Closer[],
  late: LateEvents,
): Promise<OpenLog> {
  const { eventStoreUrls } = config;
  if (eventStoreUrls !== undefined) return openServers(eventStoreUrls, config, log, closers, late);
  const path = eventsFolder(config);
  const engine = await EmbeddedEventStore.open({ path });
  closers.push(() => engine.close());
  const embedded = `embedded, ${path}`;
  const eventLog = new EmbeddedEventLog(engine);
  await checkAlone({ place: path, log: eventLog });
  const source = sourceOf(path, engine);
  if (config.eventStoreGrpcPort === undefined) return { eventLog, place: embedded, source };
  const door = await openGrpcDoor(engine, {
    ...(await readProtection(config.eventStoreGrpcProtection)),
    port: config.eventStoreGrpcPort,
    warn: (message) => {
      log.warn(message);
    },
  });
  closers.push(() => door.close());
  const place = `${embedded}, gRPC on ${door.host}:${door.port}`;
  return { eventLog, place, source };
}

/** Only nodes that devices connect to, and relays, have anything to tell each other. */
function redisOf(config: Config, log: Logger, closers: Closer[]): RedisPorts | undefined {
  const isAmong = config.roles.has('gateway') || config.roles.has('relay');
  if (config.redisUrl === undefined || !isAmong) return undefined;
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
type ProjectorSource = Pick<ProjectorThreadOptions, 'growth'> & Pick<ThreadStart, 'source'>;

function sourceOf(path: string, engine: Engine): ProjectorSource {
  const on: OnGrowth = (listener) => engine.onGrowth(listener);
  return { source: { kind: 'embedded', path }, growth: { head: engine.head, on } };
}

function startProjectorThread(
  databaseUrl: string,
  { source, growth }: ProjectorSource,
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

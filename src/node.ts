import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import pino, { type Logger } from 'pino';
import { AppModule } from './app.module';
import { Executor } from './application/executor';
import { TargetMessages } from './application/target-messages';
import type { Config } from './config/config';
import { ExpiredMessages } from './expiry/expired-messages';
import { ParleyWsAdapter } from './gateway/parley-ws.adapter';
import { Sockets } from './gateway/sockets';
import { EDGE_OPTIONS, setUpEdge } from './http/edge';
import { ExpiredSignIns } from './identity/expired-sign-ins';
import { PostgresMessageIndex } from './infrastructure/postgres/message-index';
import { SystemClock } from './kernel/clock';
import { HealthChecks } from './observability/health';
import { loggerOptions } from './observability/logging';
import { Metrics } from './observability/metrics';
import { openOperatorDoor } from './operator-door';
import { NodeLogger } from './node-logger';
import { Relay } from './relay';
import { observeGatewayNode, observeNode, observeProjector } from './node-observation';
import { openStores, type Stores } from './stores';

export interface RunningNode {
  /** Where it listens, as `http://address:port`: devices with the role `gateway`, probes always. */
  readonly url: string;
  readonly places: Stores['places'];
  /** Resolves when this node must not go on, for a reason that would have kept it from starting. */
  readonly failed: Promise<Error>;
  /** Drains: refuses newcomers, tells devices to reconnect, finishes what is under way, closes the stores. */
  stop(): Promise<void>;
}

/** Starts what the configuration's roles ask for, in this process. @throws as {@link openStores} does */
export async function startNode(config: Config): Promise<RunningNode> {
  const log = pino(loggerOptions(config.logLevel));
  const metrics = new Metrics(config.roles);
  metrics.collectProcess();
  const stores = await openStores(config, log, metrics);
  try {
    if (!config.roles.has('gateway')) return await startWithoutDevices(config, stores, metrics, log);
    const app = await createApplication(config, stores, metrics);
    const observation = observeGatewayNode(app, stores);
    if (config.roles.has('projector')) stores.startProjector(observeProjector(metrics));
    const relay = startRelay(config, stores, metrics, log);
    await app.listen(config.port, config.host);
    return {
      url: addressOf(app.getHttpServer().address() as AddressInfo),
      places: stores.places,
      failed: stores.failed,
      stop: async () => {
        app.get(HealthChecks).drain();
        // Before anything else ends: whoever has not been sent away yet is served by all of the node.
        await app.get(Sockets).drain();
        await relay?.stop();
        await observation.stop();
        await app.close();
        await stores.close();
      },
    };
  } catch (error) {
    await stores.close();
    throw error;
  }
}

/** A node that no device connects to; operators' probes do, on the same port. */
async function startWithoutDevices(
  config: Config,
  stores: Stores,
  metrics: Metrics,
  log: Logger,
): Promise<RunningNode> {
  const health = new HealthChecks();
  const observation = observeNode(stores, health, metrics);
  const door = await openOperatorDoor(config, health, metrics);
  if (config.roles.has('projector')) stores.startProjector(observeProjector(metrics));
  const workers = workersOf(config, stores);
  if (config.roles.has('worker')) for (const worker of workers) worker.start();
  const relay = startRelay(config, stores, metrics, log);
  const stop = async (): Promise<void> => {
    health.drain();
    await relay?.stop();
    await observation.stop();
    await Promise.all(workers.map((worker) => worker.stop()));
    await stores.close();
    await door.close();
  };
  return { url: addressOf(door.address), places: stores.places, failed: stores.failed, stop };
}

/** What a worker does, on a node without an application around it. */
function workersOf(config: Config, stores: Stores): readonly Pick<ExpiredMessages, 'start' | 'stop'>[] {
  const { database, eventLog } = stores;
  const clock = new SystemClock();
  const executor = new Executor(eventLog, new PostgresMessageIndex(database));
  const expiry = new ExpiredMessages(database, executor, new TargetMessages(eventLog), clock, config);
  return [
    new ExpiredSignIns(database, clock, config),
    {
      start: () => {
        expiry.start();
      },
      stop: async () => {
        await expiry.stop();
        await executor.close();
      },
    },
  ];
}

function startRelay(config: Config, stores: Stores, metrics: Metrics, log: Logger): Relay | undefined {
  const { eventLog, database, redis } = stores;
  if (!config.roles.has('relay') || redis === undefined) return undefined;
  const relay = new Relay({ config, eventLog, database, bus: redis.relay, metrics, log });
  relay.start();
  return relay;
}

async function createApplication(
  config: Config,
  stores: Stores,
  metrics: Metrics,
): Promise<NestExpressApplication> {
  // A start that fails is told by whoever started us, once, instead of ending the process in here.
  const options = Object.freeze({ ...EDGE_OPTIONS, logger: new NodeLogger(config), abortOnError: false });
  const app = await NestFactory.create<NestExpressApplication>(
    AppModule.of(config, stores, metrics),
    options,
  );
  setUpEdge(app);
  app.useWebSocketAdapter(new ParleyWsAdapter(app));
  return app;
}

function addressOf({ address, port, family }: AddressInfo): string {
  const host = address === '0.0.0.0' || address === '::' ? 'localhost' : address;
  return `http://${family === 'IPv6' && host === address ? `[${host}]` : host}:${port}`;
}

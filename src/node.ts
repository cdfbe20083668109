import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import pino from 'pino';
import { AppModule } from './app.module';
import type { Config } from './config/config';
import { ParleyWsAdapter } from './gateway/parley-ws.adapter';
import { EDGE_OPTIONS, setUpEdge } from './http/edge';
import { ExpiredSignIns } from './identity/expired-sign-ins';
import { SystemClock } from './kernel/clock';
import { HealthChecks } from './observability/health';
import { loggerOptions } from './observability/logging';
import { NodeLogger } from './node-logger';
import { observeNode, observeProjector } from './node-observation';
import { openStores, type Stores } from './stores';

export interface RunningNode {
  /** Where it listens, as `http://address:port`; empty without the role `gateway`. */
  readonly url: string;
  readonly places: Stores['places'];
  /** Drains: refuses newcomers, tells devices to reconnect, finishes what is under way, closes the stores. */
  stop(): Promise<void>;
}

/** Starts what the configuration's roles ask for, in this process. @throws as {@link openStores} does */
export async function startNode(config: Config): Promise<RunningNode> {
  const log = pino(loggerOptions(config.logLevel));
  const stores = await openStores(config, log);
  try {
    if (!config.roles.has('gateway')) return startWithoutDoor(config, stores);
    const app = await createApplication(config, stores);
    observeNode(app, stores);
    if (config.roles.has('projector')) stores.startProjector(observeProjector(app));
    await app.listen(config.port, config.host);
    return {
      url: addressOf(app),
      places: stores.places,
      stop: async () => {
        app.get(HealthChecks).drain();
        await app.close();
        await stores.close();
      },
    };
  } catch (error) {
    await stores.close();
    throw error;
  }
}

/** A node that nobody connects to: it has no port, and what it does shows in its log and in the stores. */
function startWithoutDoor(config: Config, stores: Stores): RunningNode {
  if (config.roles.has('projector')) stores.startProjector();
  const sweeper = new ExpiredSignIns(stores.database, new SystemClock(), config);
  if (config.roles.has('worker')) sweeper.start();
  const stop = async (): Promise<void> => {
    await sweeper.stop();
    await stores.close();
  };
  return { url: '', places: stores.places, stop };
}

async function createApplication(config: Config, stores: Stores): Promise<NestExpressApplication> {
  // A start that fails is told by whoever started us, once, instead of ending the process in here.
  const options = Object.freeze({ ...EDGE_OPTIONS, logger: new NodeLogger(config), abortOnError: false });
  const app = await NestFactory.create<NestExpressApplication>(AppModule.of(config, stores), options);
  setUpEdge(app);
  app.useWebSocketAdapter(new ParleyWsAdapter(app));
  return app;
}

function addressOf(app: NestExpressApplication): string {
  const { address, port, family } = app.getHttpServer().address() as AddressInfo;
  const host = address === '0.0.0.0' || address === '::' ? 'localhost' : address;
  return `http://${family === 'IPv6' && host === address ? `[${host}]` : host}:${port}`;
}

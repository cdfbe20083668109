import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../src/config/config';
import { loadConfig } from '../../src/config/load-config';
import type { Database } from '../../src/infrastructure/postgres/database';
import { startNode, type RunningNode } from '../../src/node';
import { validateServerFrame } from './contract-validator';
import { freshEventStore } from './event-store-under-test';
import { createTestDatabase } from './postgres';

export interface TestNode {
  /** http://127.0.0.1:port */
  readonly url: string;
  readonly jwtSecret: string;
  readonly database: Database;
  readonly running: RunningNode;
  /** Holds a frame against the published contract; throws when it is not in it. */
  readonly inspectFrame: (frame: unknown) => void;
  /** Stops the node and starts it again on the same stores and port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A whole node in this process: real event store (the embedded engine, or the server at EVENTSTORE_URL), real Postgres,
 * real sockets; everything in a directory, a database and streams of its own, on a port the system chooses.
 */
export async function startTestNode(change: Partial<Config> = {}): Promise<TestNode> {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-node-'));
  const database = await createTestDatabase();
  const config: Config = {
    ...loadConfig({
      PORT: '0',
      HOST: '127.0.0.1',
      DATA_DIR: dataDir,
      DATABASE_URL: database.url,
      LOG_LEVEL: 'silent',
    }),
    ...freshEventStore(),
    ...change,
  };
  let running = await startNode(config);
  const { url } = running;
  return {
    url,
    jwtSecret: config.jwtSecret,
    database: database.database,
    get running() {
      return running;
    },
    inspectFrame: validateServerFrame,
    async restart() {
      await running.stop();
      running = await startNode({ ...config, port: Number(new URL(url).port) });
    },
    async stop() {
      await running.stop();
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

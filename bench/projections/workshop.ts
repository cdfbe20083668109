import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { startEmbeddedPostgres } from '../../embedded/postgres';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../../projections/live';
import { Projector, type ProjectorLog } from '../../projections/runner/projector';
import { EmbeddedEventLog } from '../../src/infrastructure/event-log/embedded/embedded-event-log';
import { Database } from '../../src/infrastructure/postgres/database';
import { migrate } from '../../src/infrastructure/postgres/migrate';
import { SystemClock } from '../../src/kernel/clock';
import { hasPassed, type Position } from '../../src/kernel/position';

const CONNECTIONS_MAX = 8;
export const silent: ProjectorLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A log and a Postgres of their own, in this process, without a server around them. */
export interface Workshop {
  readonly log: EmbeddedEventLog;
  readonly database: Database;
  readonly url: string;
  /** A projector of the live read models, to be started. */
  projector(onPosition?: (position: Position) => void): Projector;
  /** Runs the live projector until it has everything that is in the log. */
  projectAll(): Promise<void>;
  stop(): Promise<void>;
}

export async function openWorkshop(): Promise<Workshop> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  const store = await EmbeddedEventStore.open({ path: join(folder, 'events') });
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), log: () => undefined });
  await migrate(postgres.url);
  const database = new Database(postgres.url, { connectionsMax: CONNECTIONS_MAX, name: 'bench' });
  const log = new EmbeddedEventLog(store);
  const projector = (onPosition: (position: Position) => void = () => undefined): Projector =>
    new Projector({
      eventLog: log,
      database,
      projections: LIVE_PROJECTIONS,
      group: LIVE_GROUP,
      owner: 'bench',
      clock: new SystemClock(),
      log: silent,
      onProgress: ({ position }) => {
        onPosition(position);
      },
    });
  return {
    log,
    database,
    url: postgres.url,
    projector,
    projectAll: async () => {
      const goal = await log.head();
      let reach: () => void = () => undefined;
      const reached = new Promise<void>((resolve) => (reach = resolve));
      const running = projector((position) => {
        if (hasPassed(position, goal)) reach();
      });
      running.start();
      await reached;
      await running.stop();
    },
    stop: async () => {
      await database.close();
      await postgres.stop();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

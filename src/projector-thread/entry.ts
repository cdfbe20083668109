import { hostname } from 'node:os';
import { randomUUID } from 'node:crypto';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../../projections/live';
import { Projector, type ProjectorLog } from '../../projections/runner/projector';
import type { EventLog } from '../application/ports/event-log';
import { FollowedEventLog } from '../infrastructure/event-log/embedded/followed-event-log';
import { openServerLog } from '../infrastructure/event-log/server-log';
import { Database } from '../infrastructure/postgres/database';
import { areSources } from '../infrastructure/postgres/source-log';
import { giveWayAsThread } from '../kernel/background';
import { SystemClock } from '../kernel/clock';
import { describeError } from '../observability/describe-error';
import type { Tracing } from '../tracing';
import type { FromThread, ThreadStart, ToThread } from './messages';
import { PROJECTOR_CONNECTIONS_MAX } from './projector-thread';

interface Source {
  readonly log: Pick<EventLog, 'subscribe'>;
  growTo(position: number): void;
  close(): Promise<void>;
}

async function openSource({ source }: ThreadStart, database: Database): Promise<Source> {
  switch (source.kind) {
    case 'embedded': {
      const log = new FollowedEventLog(source.path);
      return {
        log,
        growTo: (position) => {
          log.growTo(position);
        },
        close: () => log.close(),
      };
    }
    case 'esdb': {
      const { kind: _kind, ...options } = source;
      // The main thread hears it, too, and ends the process.
      const onOthers = (error: Error): void => {
        LOG.error({ error }, 'nothing is projected from a server that is another one');
      };
      const isKnown = (numbering: string): Promise<boolean> => areSources(database, [numbering]);
      return { ...(await openServerLog(options, { onOthers, isKnown })), growTo: () => undefined };
    }
  }
}

function tell(message: FromThread): void {
  parentPort?.postMessage(message);
}

const log = (level: 'info' | 'warn' | 'error') => (fields: object, message: string) => {
  const { error, ...others } = fields as { error?: unknown };
  tell({
    kind: 'log',
    level,
    message,
    fields: others,
    ...(error === undefined ? {} : { error: describeError(error) }),
  });
};
const LOG: ProjectorLog = { info: log('info'), warn: log('warn'), error: log('error') };

async function run(start: ThreadStart): Promise<void> {
  // The SDK is only loaded by a thread that wants it.
  const tracing = start.traced ? (await import('../tracing.js')).startTracing(process.env) : undefined;
  const database = new Database(start.databaseUrl, {
    connectionsMax: PROJECTOR_CONNECTIONS_MAX,
    name: 'parley-projector',
    metrics: {
      storeFailures: {
        inc: () => {
          tell({ kind: 'storeFailure' });
        },
      },
      postgresMs: {
        observe: (labels, ms) => {
          tell({ kind: 'measured', labels, ms });
        },
      },
    },
  });
  const opening = openSource(start, database);
  // Servers may be away for a while, and a thread that is told to stop meanwhile has nothing to finish.
  let stop = (): void => {
    process.exit(0);
  };
  parentPort?.on('message', (message: ToThread) => {
    if (message.kind === 'stop') stop();
    else
      void opening.then((open) => {
        open.growTo(message.position);
      });
  });
  const source = await opening;
  const projector = new Projector({
    eventLog: source.log,
    database,
    projections: LIVE_PROJECTIONS,
    group: LIVE_GROUP,
    owner: `${hostname()}/${process.pid}/${threadId}/${randomUUID()}`,
    clock: new SystemClock(),
    log: LOG,
    onProgress: (progress) => {
      tell({ kind: 'progress', progress });
    },
    onPoison: (event, error) => {
      tell({ kind: 'poison', event, error: describeError(error) });
    },
  });
  stop = () => void end(projector, database, source, tracing);
  projector.start();
}

/** Without a port to listen to, and with nothing open, the thread ends by itself. */
async function end(
  projector: Projector,
  database: Database,
  source: Source,
  tracing: Tracing | undefined,
): Promise<void> {
  await projector.stop();
  await database.close();
  await source.close();
  await tracing?.stop();
  parentPort?.close();
}

giveWayAsThread();
void run(workerData as ThreadStart);

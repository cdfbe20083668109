import * as fc from 'fast-check';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../../projections/live';
import { Projector } from '../../projections/runner/projector';
import { toStored } from '../../src/domain/conversation/codec';
import { conversationStream } from '../../src/domain/conversation/streams';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { Database } from '../../src/infrastructure/postgres/database';
import { SystemClock } from '../../src/kernel/clock';
import { asEventId, toIso } from '../../src/kernel/ids';
import { uuidv5, uuidv7 } from '../../src/kernel/uuid';
import { logOf, steps } from './arbitrary-conversations';

const NAMESPACE = '5b0a7a3e-6d0e-5d0c-9b53-7f8f3f1c2a44';
const STEPS_AT_A_TIME = 30;
const TIMES = 400;
/** Small ones: the more often rows and checkpoint are written, the likelier a kill comes in between. */
const BATCH_EVENTS = 5;
const CONNECTIONS = 4;

/** A log of conversations, the same whenever it is asked for, so that two processes can have it. */
export async function logOfSeed(seed: number): Promise<MemoryEventLog> {
  const eventLog = new MemoryEventLog();
  const script = fc.sample(steps(STEPS_AT_A_TIME), { seed, numRuns: TIMES }).flat();
  let ids = 0;
  const newId = (): string => uuidv5(`${seed}/${ids++}`, NAMESPACE);
  for (const { conversationId, at, event } of logOf(script, newId)) {
    const stored = { id: asEventId(uuidv7()), ...toStored(event), metadata: { at: toIso(at) } };
    await eventLog.append(conversationStream(conversationId), [stored], { expected: 'any' });
  }
  return eventLog;
}

async function projectUntilKilled(databaseUrl: string, seed: number): Promise<void> {
  const nothing = (): void => undefined;
  const eventLog = await logOfSeed(seed);
  const projector = new Projector({
    eventLog,
    database: new Database(databaseUrl, { connectionsMax: CONNECTIONS, name: 'to be killed' }),
    projections: LIVE_PROJECTIONS,
    group: LIVE_GROUP,
    owner: `process ${process.pid}`,
    clock: new SystemClock(),
    log: { info: nothing, warn: nothing, error: nothing },
    batchEventsMax: BATCH_EVENTS,
    onProgress: ({ events }) => {
      if (events > 0) process.send?.('projected');
    },
  });
  projector.start();
}

if (process.env['PROJECT_UNTIL_KILLED'] === 'yes') {
  const [, , databaseUrl, seed] = process.argv as [string, string, string, string];
  void projectUntilKilled(databaseUrl, Number(seed));
}

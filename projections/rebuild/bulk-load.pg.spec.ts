import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { toStored } from '../../src/domain/conversation/codec';
import type { Recorded } from '../../src/domain/conversation/events';
import { conversationStream } from '../../src/domain/conversation/streams';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { SystemClock } from '../../src/kernel/clock';
import { asEventId, toIso } from '../../src/kernel/ids';
import { uuidv7 } from '../../src/kernel/uuid';
import { logOf, steps } from '../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { LIVE_GROUP, LIVE_PROJECTIONS } from '../live';
import { Projector } from '../runner/projector';
import { rebuild, type RebuildOutcome } from './rebuild';

const RUNS = 12;
const RUN_MS_MAX = 120_000;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('the bulk load', () => {
  let db: TestDatabase;
  let eventLog: MemoryEventLog;
  let projector: Projector;

  const begin = async (): Promise<void> => {
    db = await createTestDatabase();
    eventLog = new MemoryEventLog();
    projector = new Projector({
      eventLog,
      database: db.database,
      clock: new SystemClock(),
      log: silent,
      projections: LIVE_PROJECTIONS,
      group: LIVE_GROUP,
      owner: 'live',
    });
    projector.start();
  };
  const end = async (): Promise<void> => {
    await projector.stop();
    await db.drop();
  };
  const store = async ({ conversationId, at, event }: Recorded): Promise<void> => {
    const stored = { id: asEventId(uuidv7()), ...toStored(event), metadata: { at: toIso(at) } };
    await eventLog.append(conversationStream(conversationId), [stored], { expected: 'any' });
  };
  const rebuilt = (pieceEventsMax?: number): Promise<RebuildOutcome> =>
    rebuild({
      eventLog,
      database: db.database,
      clock: new SystemClock(),
      log: silent,
      owner: 'rebuild',
      projections: LIVE_PROJECTIONS,
      ...(pieceEventsMax === undefined ? {} : { pieceEventsMax }),
    });

  it(
    'makes the tables that the projector makes, in one pass for all models, however the rows travel',
    async () => {
      await fc.assert(
        fc.asyncProperty(steps(300), fc.integer({ min: 1, max: 60 }), async (script, pieceEventsMax) => {
          await begin();
          try {
            for (const recorded of logOf(script, randomUUID)) await store(recorded);
            const { events, models } = await rebuilt(pieceEventsMax);
            expect(models.flatMap(({ tables }) => tables.filter(({ equal }) => !equal))).toEqual([]);
            expect(models.map(({ swapped }) => swapped)).toEqual(LIVE_PROJECTIONS.map(() => true));
            expect(events).toBe(Number((await eventLog.head()).commit) + 1);
          } finally {
            await end();
          }
        }),
        { numRuns: RUNS },
      );
    },
    RUN_MS_MAX,
  );

  it('leaves the tables with the keys and indexes that the migrations gave them', async () => {
    await begin();
    const indexes = (): Promise<readonly unknown[]> =>
      db.database.query(
        `SELECT indexname, replace(indexdef, 'read_next.', 'read.') AS definition FROM pg_indexes
         WHERE schemaname = 'read' ORDER BY indexname`,
      );
    const before = await indexes();
    await rebuilt();
    expect(await indexes()).toEqual(before);
    await end();
  });

  it('takes an empty log', async () => {
    await begin();
    const { events, models } = await rebuilt();
    expect([events, models.every(({ swapped }) => swapped)]).toEqual([0, true]);
    await end();
  });
});

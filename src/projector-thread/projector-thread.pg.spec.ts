import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { LIVE_PROJECTIONS } from '../../projections/live';
import { readCheckpoints } from '../../projections/runner/checkpoints';
import { verifyReadModels } from '../../projections/verify';
import { userNamed } from '../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { WrittenConversation } from '../../test/support/written-conversation';
import { EmbeddedEventLog } from '../infrastructure/event-log/embedded/embedded-event-log';
import { BACKGROUND_NICENESS } from '../kernel/background';
import { hasPassed, type Position } from '../kernel/position';
import type { ThreadStart } from './messages';
import { ProjectorThread } from './projector-thread';

const WITHIN_MS = 60_000;
const NAMES = LIVE_PROJECTIONS.map(({ name }) => name);

/** Lets a plain thread require our sources, compiled as the build compiles them. */
const LOADER = `
  const { transformFileSync } = require('@swc/core');
  require.extensions['.ts'] = (module, file) => module._compile(transformFileSync(file).code, file);
  require(${JSON.stringify(join(__dirname, 'entry.ts'))});
`;

describe('ProjectorThread', () => {
  let db: TestDatabase;
  let folder: string;
  let store: EmbeddedEventStore;
  let log: EmbeddedEventLog;
  let thread: ProjectorThread;
  let workers: Worker[];
  let said: string[];
  let reached: Position[];
  let statements: number;

  beforeEach(async () => {
    db = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'parley-thread-'));
    store = await EmbeddedEventStore.open({ path: folder });
    log = new EmbeddedEventLog(store);
    [workers, said, reached, statements] = [[], [], [], 0];
  });
  afterEach(async () => {
    await thread.stop();
    await store.close();
    await db.drop();
    await rm(folder, { recursive: true });
  });

  const say = (_fields: object, message: string): void => {
    said.push(message);
  };
  const start = (): void => {
    thread = new ProjectorThread({
      start: { databaseUrl: db.url, source: { kind: 'embedded', path: folder }, traced: false },
      growth: { head: store.head, on: (listener) => store.onGrowth(listener) },
      log: { info: say, warn: say, error: say },
      metrics: { storeFailures: { inc: () => undefined }, postgresMs: { observe: () => statements++ } },
      onProgress: ({ position }) => {
        reached.push(position);
      },
      onPoison: () => undefined,
      spawn: (workerData: ThreadStart) => {
        const worker = new Worker(LOADER, { eval: true, workerData });
        workers.push(worker);
        return worker;
      },
    });
  };
  const caughtUp = async (): Promise<void> => {
    const head = await log.head();
    const end = Date.now() + WITHIN_MS;
    for (;;) {
      const positions = [...(await readCheckpoints(db.database, NAMES)).values()];
      if (positions.every((position) => hasPassed(position, head))) return;
      if (Date.now() > end) throw new Error(`not caught up; ${said.join('; ')}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const written = async (
    sends: number,
    conversation = new WrittenConversation(people),
  ): Promise<typeof conversation> => {
    for (let n = 0; n < sends; n++) conversation.send(people[n % 2] as (typeof people)[0]);
    await conversation.store(log);
    return conversation;
  };
  const people = ['ann', 'bob'].map(userNamed);
  const expectEqualToLog = async (): Promise<void> => {
    expect((await verifyReadModels({ eventLog: log, database: db.database })).differences).toEqual([]);
  };

  it('projects what was there and what comes, and tells this thread how far it is', async () => {
    const conversation = await written(700);
    start();
    await caughtUp();
    for (let n = 0; n < 20; n++) await written(3, conversation);
    await caughtUp();
    await expectEqualToLog();
    const head = await log.head();
    const end = Date.now() + WITHIN_MS;
    while (!reached.some((position) => hasPassed(position, head)) && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(reached.some((position) => hasPassed(position, head))).toBe(true);
    expect(statements).toBeGreaterThan(0);
  });

  it('starts again after a thread that ended by itself, and goes on where that one stood', async () => {
    const conversation = await written(10);
    start();
    await caughtUp();
    await workers[0]?.terminate();
    await written(10, conversation);
    await caughtUp();
    await expectEqualToLog();
    expect(workers).toHaveLength(2);
    expect(said).toContain('the projector thread ended; starting it again');
  });

  it('gives way to the thread that answers devices', async () => {
    const niceness = async (thread: string): Promise<number> => {
      const stat = await readFile(`/proc/self/task/${thread}/stat`, 'utf8');
      // The 19th field; the second may have blanks in it, and ends with the last parenthesis.
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    };
    start();
    await written(5);
    await caughtUp();
    const all = await Promise.all((await readdir('/proc/self/task')).map(niceness));
    expect(all).toContain(BACKGROUND_NICENESS);
    expect(await niceness(String(process.pid))).not.toBe(BACKGROUND_NICENESS);
  });

  it('starts no other one when it is stopped', async () => {
    start();
    await written(5);
    await caughtUp();
    await thread.stop();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(workers).toHaveLength(1);
  });
});

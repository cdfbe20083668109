import { LIVE_GROUP, LIVE_PROJECTIONS } from '../../projections/live';
import { readCheckpoints } from '../../projections/runner/checkpoints';
import { Projector } from '../../projections/runner/projector';
import { verifyReadModels } from '../../projections/verify';
import type { LogEvent, ReadStreamOptions, StreamRead } from '../../src/application/ports/event-log';
import { conversationStream } from '../../src/domain/conversation/streams';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { SystemClock } from '../../src/kernel/clock';
import type { ConversationId } from '../../src/kernel/ids';
import { hasPassed } from '../../src/kernel/position';
import { startApplication, type TestApplication } from '../../test/support/application';
import { accepted, BEN, group, send } from '../../test/support/conversation-commands';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { chainCheck } from './chain-check';

const WITHIN_MS = 8_000;

/** Somebody who reaches under the log: what it says is changed on the way to whoever reads. */
class TamperedLog extends MemoryEventLog {
  constructor(
    private readonly log: MemoryEventLog,
    private readonly tamper: (event: LogEvent) => LogEvent,
  ) {
    super();
  }

  override readAll: MemoryEventLog['readAll'] = (options) => this.log.readAll(options);

  override async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    const read = await this.log.readStream(stream, options);
    return read.kind === 'events' ? { ...read, events: read.events.map(this.tamper) } : read;
  }
}

describe('npm run verify, on audit chains', () => {
  let db: TestDatabase;
  let app: TestApplication;
  let id: ConversationId;

  beforeAll(async () => {
    db = await createTestDatabase();
    app = await startApplication();
    const start = group([BEN]);
    id = start.conversationId;
    accepted(await app.executor.execute(start));
    for (let n = 0; n < 5; n++) accepted(await app.executor.execute(send(id)));
    await project();
  });
  afterAll(async () => {
    await app.context.close();
    await db.drop();
  });

  async function project(): Promise<void> {
    const say = (): void => undefined;
    const projector = new Projector({
      ...{ eventLog: app.memory, database: db.database, clock: new SystemClock(), owner: 'spec' },
      ...{ projections: LIVE_PROJECTIONS, group: LIVE_GROUP, log: { info: say, warn: say, error: say } },
    });
    projector.start();
    const head = await app.memory.head();
    const names = LIVE_PROJECTIONS.map(({ name }) => name);
    for (const end = Date.now() + WITHIN_MS; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
      const positions = [...(await readCheckpoints(db.database, names)).values()];
      if (positions.length > 0 && positions.every((position) => hasPassed(position, head))) break;
      if (Date.now() > end) throw new Error('the projector did not catch up');
    }
    await projector.stop();
  }

  const breaks = async (tamper: (event: LogEvent) => LogEvent): Promise<readonly string[]> => {
    const eventLog = new TamperedLog(app.memory, tamper);
    const verified = await verifyReadModels({ eventLog, database: db.database, streamCheck: chainCheck });
    expect(verified.differenceCount).toBe(verified.differences.length);
    return verified.differences.filter((difference) => difference.includes('audit chain'));
  };

  it('says nothing of a log that is as it was written', async () => {
    expect(await breaks((event) => event)).toEqual([]);
  });

  const told = (event: LogEvent, more: object): LogEvent => ({
    ...event,
    metadata: { ...(event.metadata as object), ...more },
  });
  it.each<readonly [string, (event: LogEvent) => LogEvent]>([
    ['another time', (event) => told(event, { at: '1999-01-01T00:00:00.000Z' })],
    ['a field that no table has', (event) => ({ ...event, data: { ...(event.data as object), more: 1 } })],
    ['another hash', (event) => told(event, { hash: 'f'.repeat(64) })],
    ['no hash', (event) => told(event, { hash: undefined })],
  ])('finds %s, at the first event that is not as it was written', async (_what, tamper) => {
    const found = await breaks((event) => (Number(event.revision) >= 3 ? tamper(event) : event));
    expect(found).toEqual([expect.stringContaining(`conversation ${id}: the audit chain breaks at 3:`)]);
  });

  it('goes on from page to page, and finds what is missing between them', async () => {
    const read = await app.memory.readStream(conversationStream(id), { limit: 10 });
    if (read.kind !== 'events') throw new Error('nothing there');
    const { events } = read;
    const whole = chainCheck();
    for (const event of events) expect(whole.take([event])).toBeUndefined();
    expect(whole.take([])).toBeUndefined();
    const gap = chainCheck();
    expect(gap.take(events.slice(0, 2))).toBeUndefined();
    expect(gap.take(events.slice(3))).toMatch(/breaks at 2/);
    expect(gap.take(events.slice(4))).toBeUndefined();
  });
});

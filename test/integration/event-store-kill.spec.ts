import { setTimeout as sleep } from 'node:timers/promises';
import { READ_EVENTS_MAX, type LogEvent } from '../../src/application/ports/event-log';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import type { Position } from '../../src/kernel/position';
import { batchOf } from '../support/append-until-killed';
import { EventStoreProcess } from '../support/event-store-process';
import { PersistentAppender } from '../support/persistent-appender';
import { ResumingSubscriber } from '../support/resuming-subscriber';
import { eventually } from '../support/sdk-device';

const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 3);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const WRITERS = 16;
const SUBSCRIBERS = 3;
/** By each writer, before the server is killed again. */
const BATCHES_MIN = 5;
const PREFIX = 'killed';
const FILTER = { streamPrefixes: [PREFIX] };

/** Everything in the log, read in pages. */
async function wholeLog(log: EsdbEventLog): Promise<readonly LogEvent[]> {
  const events: LogEvent[] = [];
  for (let after: Position | undefined; ;) {
    const page = await log.readAll({
      limit: READ_EVENTS_MAX,
      filter: FILTER,
      ...(after === undefined ? {} : { after }),
    });
    events.push(...page.events);
    if (page.endOfLog) return events;
    after = page.next;
  }
}

const placeOf = ({ stream, revision, position, id }: LogEvent): string =>
  `${position.commit} ${stream}/${revision} ${id}`;

describe(`\`npm run eventstore\` killed with -9 (SEED=${SEED})`, () => {
  it(`keeps what it acknowledged, and subscribers see each event once, ${ROUNDS} times`, async () => {
    const server = await EventStoreProcess.start();
    const log = new EsdbEventLog({ connectionString: server.url });
    const writers = Array.from(
      { length: WRITERS },
      (_, n) => new PersistentAppender(log, `${PREFIX}-${n}`, SEED, n),
    );
    const subscribers = Array.from({ length: SUBSCRIBERS }, () => new ResumingSubscriber(log, FILTER));
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const before = writers.map(({ acknowledged }) => acknowledged.length);
        // In full swing, all of them: a server that is killed before anybody writes has nothing to lose.
        await eventually('acknowledgements', () =>
          writers.every(
            ({ acknowledged, contradictions }, n) =>
              contradictions.length > 0 || acknowledged.length >= (before[n] ?? 0) + BATCHES_MIN,
          ),
        );
        await sleep(((SEED + round) * 7_919) % 400);
        expect(await server.end('SIGKILL')).toBe('SIGKILL');
        await server.start();
      }
      await Promise.all(writers.map((writer) => writer.settle()));
      expect(writers.flatMap(({ contradictions }) => contradictions)).toEqual([]);
      const stored = await wholeLog(log);
      for (const [n, { stream, acknowledged }] of writers.entries()) {
        const own = stored.filter((event) => event.stream === stream);
        expect(own.map(({ revision }) => Number(revision))).toEqual(own.map((_, revision) => revision));
        // Settled: everything handed over was acknowledged, so the stream holds this and nothing else.
        expect(own.map(({ id }) => id)).toEqual(acknowledged.flatMap(({ n: k }) => batchOf(SEED, n, k)));
        for (const { revision, position } of acknowledged) {
          expect(own[revision]?.position.commit).toBe(position);
        }
      }
      const expected = stored.map(placeOf);
      for (const subscriber of subscribers) {
        await eventually('all events', () => subscriber.events.length >= expected.length);
        expect(subscriber.events.map(placeOf)).toEqual(expected);
        expect(subscriber.resumed).toBeGreaterThanOrEqual(ROUNDS);
      }
      const unknown = writers.reduce((sum, writer) => sum + writer.unknown, 0);
      process.stderr.write(
        `${stored.length} events over ${ROUNDS} kills; ${unknown} appends whose outcome was unknown at first\n`,
      );
    } finally {
      for (const writer of writers) writer.giveUp();
      for (const subscriber of subscribers) await subscriber.stop();
      await log.close();
      await server.destroy();
    }
  }, 900_000);
});

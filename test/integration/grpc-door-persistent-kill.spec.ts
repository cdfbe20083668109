import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  EventStoreDBClient,
  jsonEvent,
  persistentSubscriptionToAllSettingsFromDefaults as allSettings,
  persistentSubscriptionToStreamSettingsFromDefaults as streamSettings,
  START,
  streamNameFilter,
  type PersistentSubscriptionToStream,
} from '@eventstore/db-client';
import { EventStoreProcess } from '../support/event-store-process';
import { RestlessConsumer, type Settled } from '../support/restless-consumer';
import { eventually } from '../support/sdk-device';

const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 2);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const EVENTS_A_ROUND = 150;
/** Checkpoints all the time: whatever they say too much is lost when the server dies. */
const HASTY = { checkPointLowerBound: 1, checkPointAfter: 1, checkPointUpperBound: 5, messageTimeout: 2_000 };

/** Between 0 and 1, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe(`groups of consumers and a server killed with -9 (SEED=${SEED})`, () => {
  it(`every event is settled by somebody, ${ROUNDS} times`, async () => {
    const server = await EventStoreProcess.start();
    const stream: Settled = new Map();
    const all: Settled = new Map();
    const consumers: RestlessConsumer[] = [];
    const written: string[] = [];
    let client = EventStoreDBClient.connectionString(server.url);
    try {
      await client.createPersistentSubscriptionToStream(
        'work',
        'g',
        streamSettings({ startFrom: START, ...HASTY }),
      );
      const filter = streamNameFilter({ prefixes: ['work'] });
      await client.createPersistentSubscriptionToAll('g', allSettings({ startFrom: START, ...HASTY }), {
        filter,
      });
      for (let n = 0; n < 4; n++) {
        const ofAll = n % 2 === 1;
        const subscribe = (one: EventStoreDBClient): PersistentSubscriptionToStream =>
          ofAll
            ? one.subscribeToPersistentSubscriptionToAll('g')
            : one.subscribeToPersistentSubscriptionToStream('work', 'g');
        consumers.push(new RestlessConsumer(server.url, subscribe, ofAll ? all : stream, randomOf(SEED + n)));
      }
      for (let round = 0; round < ROUNDS; round++) {
        const enough = stream.size + EVENTS_A_ROUND / 3;
        for (let n = 0; n < EVENTS_A_ROUND; n += 10) {
          const events = Array.from({ length: 10 }, () =>
            jsonEvent({ id: randomUUID(), type: 'Work', data: {} }),
          );
          await client.appendToStream('work', events);
          written.push(...events.map(({ id }) => id));
        }
        await eventually('some work done', () => stream.size >= enough && all.size > 0);
        await pause(((SEED + round) * 7_919) % 100);
        expect(await server.end('SIGKILL')).toBe('SIGKILL');
        await server.start();
        await client.dispose();
        client = EventStoreDBClient.connectionString(server.url);
      }
      for (const [what, settled] of [
        ['the stream', stream],
        ['the log', all],
      ] as const) {
        await eventually(`all of ${what} settled`, () => written.every((id) => settled.has(id)), 90_000);
      }
      // What this side thinks it parked is parked, or was refused again by nobody's leave: nothing waits.
      await eventually('nothing under way', async () => {
        const infos = await client.listAllPersistentSubscriptions().catch(() => undefined);
        return infos?.every(({ stats }) => stats.totalInFlightMessages + stats.retryBufferCount === 0);
      });
      const redelivered = consumers.reduce((sum, one) => sum + one.redelivered, 0);
      expect(redelivered).toBeGreaterThan(0);
      process.stderr.write(`${written.length} events over ${ROUNDS} kills; ${redelivered} given out again\n`);
    } finally {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      await client.dispose();
      await server.destroy();
    }
  }, 600_000);
});

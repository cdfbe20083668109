import { asUserId } from '../../src/kernel/ids';
import { connectAll, sideBySide } from '../load/crowd';
import { Device } from '../load/device';
import { Latencies } from '../load/histogram';
import { newUserIds, type Person } from '../load/people';
import { costs, watching } from '../load/watch';
import type { Metrics, Scenario, Surroundings } from '../scenario';
import { storeAll, writePast } from '../seed/written-past';
import { WrittenConversation } from '../seed/written-conversation';

const SOCKETS = 15_000;
const SOCKETS_QUICK = 1_000;
/** Connections that are being opened at the same time; the rest stand in the generator's own queue. */
const RETURNING_MAX = 1_000;
const MISSED = 3;
const CONVERSATIONS_EACH = 3;
const ATTEMPTS_MAX = 5;
const BODY = 'while you were away';

/** Every socket is cut at once; all come back as fast as they can, and sync what they missed. */
async function storm({ quick, startServer, option }: Surroundings): Promise<Metrics> {
  const sockets = Number(option('sockets') ?? (quick ? SOCKETS_QUICK : SOCKETS));
  const ids = newUserIds(sockets).map(asUserId);
  const cursors = new Map<string, Record<string, number>>(ids.map((id) => [id, {}]));
  let head = -1n;
  const server = await startServer({
    prepare: async (dataDir) => {
      head = await writePast(dataDir, async (log) => {
        const begunAt = Date.now() - 86_400_000;
        await storeAll(log, (sockets * CONVERSATIONS_EACH) / 2, (n) => {
          const other = (n + 1 + Math.floor(n / sockets) * 2) % sockets;
          const members = [ids[n % sockets] as (typeof ids)[number], ids[other] as (typeof ids)[number]];
          const conversation = new WrittenConversation(members, begunAt);
          conversation.send(conversation.member(0), 'hello');
          for (const id of members)
            (cursors.get(id) as Record<string, number>)[conversation.id] = conversation.headSeq;
          for (let missed = 0; missed < MISSED; missed++)
            conversation.send(conversation.member(missed), BODY);
          return conversation;
        });
      });
    },
  });
  const people = await server.accounts(ids);
  await server.projected(head);
  const before = await connectAll(server.port, people, {});
  for (const device of before) device.destroy();
  const back = new Latencies();
  let [errors, short] = [0, 0];
  const devices: Device[] = [];
  const cutAt = performance.now();
  const comeBack = async (person: Person): Promise<void> => {
    const own = cursors.get(person.userId) as Record<string, number>;
    for (let attempt = 1; ; attempt++) {
      try {
        const device = await Device.open(server.port, person, {});
        const { pages, answer } = await device.requestPages('sync', { cursors: own });
        if (answer.event !== 'sync.done') throw new Error(JSON.stringify(answer));
        devices.push(device);
        back.add(performance.now() - cutAt);
        if (pages.length === 0) short++;
        return;
      } catch (error) {
        errors++;
        if (attempt >= ATTEMPTS_MAX) throw error;
      }
    }
  };
  const used = await watching(server.pid, async () => {
    await sideBySide(people, RETURNING_MAX, comeBack);
  });
  for (const device of devices) device.destroy();
  return {
    sockets,
    'all back and synced, s': used.seconds,
    'half of them, s': back.at(50) / 1_000,
    errors,
    'synced short': short,
    'sockets/s': sockets / used.seconds,
    ...costs(used, sockets, 'socket'),
  };
}

export const stormScenario: Scenario = {
  name: 'storm',
  about: `${SOCKETS} sockets are cut at once: until all are back and have what they missed (--sockets)`,
  cases: [{ name: 'storm', run: storm }],
};

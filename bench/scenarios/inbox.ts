import { asUserId } from '../../src/kernel/ids';
import { Device } from '../load/device';
import { Latencies } from '../load/histogram';
import { newUserIds } from '../load/people';
import { costs, watching } from '../load/watch';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';
import { storeAll, writePast } from '../seed/written-past';
import { WrittenConversation } from '../seed/written-conversation';

const CONVERSATIONS = 10_000;
const CONVERSATIONS_QUICK = 1_000;
const MESSAGES_EACH = 3;
const SCREEN = 50;
const TIMES = 100;
const TIMES_QUICK = 20;
const BODY = 'hello again';

/** The first screen of somebody with many conversations: by REST, and on a device that has nothing yet. */
async function inbox({ quick, startServer }: Surroundings, conversations: number): Promise<Metrics> {
  const me = asUserId(newUserIds(1)[0] as string);
  let head = -1n;
  const server = await startServer({
    prepare: async (dataDir) => {
      head = await writePast(dataDir, async (log) => {
        const others = newUserIds(conversations).map(asUserId);
        const begunAt = Date.now() - 86_400_000;
        await storeAll(log, conversations, (n) => {
          // Spread over a day, in an order that is not that of their ids.
          const at = begunAt + ((n * 7_919) % conversations) * 1_000;
          const other = others[n] as (typeof others)[number];
          const conversation = new WrittenConversation([other, me], at);
          for (let sent = 0; sent < MESSAGES_EACH; sent++) conversation.send(other, BODY);
          return conversation;
        });
      });
    },
  });
  const [person] = await server.accounts([me]);
  if (person === undefined) throw new Error('nobody is there');
  await server.projected(head);
  const [rest, sync] = [new Latencies(), new Latencies()];
  const times = quick ? TIMES_QUICK : TIMES;
  const headers = { authorization: `Bearer ${person.token}` };
  const used = await watching(server.pid, async () => {
    for (let n = 0; n < times; n++) {
      const askedAt = performance.now();
      const answer = await fetch(`${server.url}/api/v1/conversations?limit=${SCREEN}`, { headers });
      const { items } = (await answer.json()) as { readonly items: readonly { unreadCount: number }[] };
      rest.add(performance.now() - askedAt);
      const wrong = items.length !== Math.min(SCREEN, conversations);
      if (wrong || items[0]?.unreadCount !== MESSAGES_EACH) throw new Error('this is not the inbox');
      const device = await Device.open(server.port, person, {}, `device-${n}`);
      const syncedAt = performance.now();
      const { answer: done } = await device.requestPages('sync', { recent: SCREEN, window: 20 });
      sync.add(performance.now() - syncedAt);
      if (done.event !== 'sync.done') throw new Error(`sync was answered by ${JSON.stringify(done)}`);
      device.destroy();
    }
  });
  return {
    conversations,
    ...rest.metrics('first screen'),
    ...sync.metrics('sync of a new device'),
    ...costs(used, times, 'time'),
  };
}

export const inboxOf = (conversations: number): Case => ({
  name: `inbox of ${conversations} conversations`,
  run: (surroundings) => inbox(surroundings, conversations),
});

export const inboxScenario: Scenario = {
  name: 'inbox',
  about: `somebody with ${CONVERSATIONS} conversations: the first ${SCREEN} of them, by REST and by sync`,
  cases: [
    {
      name: 'inbox',
      run: (surroundings) => inbox(surroundings, surroundings.quick ? CONVERSATIONS_QUICK : CONVERSATIONS),
    },
  ],
};

import { Device } from '../load/device';
import { newUserIds } from '../load/people';
import { Latencies } from '../load/histogram';
import { costs, watching } from '../load/watch';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';
import { storeAll, storeMessages, writePast } from '../seed/written-past';
import { WrittenConversation } from '../seed/written-conversation';
import { asUserId } from '../../src/kernel/ids';

const BODY = 'It is the sort of thing that people write to each other, neither long nor short.';
const TIMES = 20;
const TIMES_QUICK = 5;
/** As many as one `sync` may ask for of each conversation, so that nothing is left for later. */
const WINDOW = 1_000;
const MEMBERS = 5;

interface Missed {
  /** Conversations in which something happened. */
  readonly moved: number;
  /** Events missed in each. */
  readonly each: number;
  /** Conversations in which nothing happened. */
  readonly still: number;
}

/** A device that was away: how long until it has everything. */
async function sync({ quick, startServer }: Surroundings, { moved, each, still }: Missed): Promise<Metrics> {
  const ids = newUserIds(MEMBERS).map(asUserId);
  const me = ids[0] as string;
  const cursors: Record<string, number> = {};
  let head = -1n;
  const server = await startServer({
    prepare: async (dataDir) => {
      head = await writePast(dataDir, async (log) => {
        const begunAt = Date.now() - 86_400_000;
        const written = await storeAll(log, moved + still, (n) => {
          const conversation = new WrittenConversation(
            [...ids, asUserId(newUserIds(1)[0] as string)],
            begunAt,
          );
          conversation.send(conversation.member(n), BODY);
          return conversation;
        });
        for (const one of written) cursors[one.id] = one.headSeq;
        for (const one of written.slice(0, moved)) await storeMessages(log, one, each, BODY);
      });
    },
  });
  const [person] = await server.accounts([me]);
  if (person === undefined) throw new Error('nobody is there');
  await server.projected(head);
  const latencies = new Latencies();
  const times = quick ? TIMES_QUICK : TIMES;
  let received = 0;
  const used = await watching(server.pid, async () => {
    for (let n = 0; n < times; n++) {
      const device = await Device.open(server.port, person, {}, `device-${n}`);
      const startedAt = performance.now();
      const { pages, answer } = await device.requestPages('sync', { cursors, window: WINDOW });
      latencies.add(performance.now() - startedAt);
      if (answer.event !== 'sync.done') throw new Error(`sync was answered by ${JSON.stringify(answer)}`);
      received += pages.flatMap(eventsOf).length;
      device.destroy();
    }
  });
  const events = moved * each;
  return {
    'events missed': events,
    'events short': events * times - received,
    ...latencies.metrics('sync'),
    'events/s': received / used.seconds,
    ...costs(used, received, 'event'),
  };
}

function eventsOf({ data }: { readonly data?: Record<string, unknown> }): readonly unknown[] {
  const conversations = data?.['conversations'] as readonly { readonly events: readonly unknown[] }[];
  return conversations.flatMap(({ events }) => events);
}

const caseOf = (name: string, missed: Missed): Case => ({
  name: `sync: ${name}`,
  run: (surroundings) => sync(surroundings, missed),
});

export const syncScenario: Scenario = {
  name: 'sync',
  about:
    'a device that was away: until it has what it missed, all conversations that moved and none that did not',
  cases: [
    caseOf('10,000 events in 50 conversations', { moved: 50, each: 200, still: 450 }),
    caseOf('nothing in 500 conversations', { moved: 0, each: 0, still: 500 }),
  ],
};

/** Points of the cost curves. */
export const syncOfConversations = (still: number): Case =>
  caseOf(`200 events, ${still} conversations that did not move`, { moved: 1, each: 200, still });
export const syncOfEvents = (events: number): Case =>
  caseOf(`${events} events in 10 conversations`, { moved: 10, each: events / 10, still: 0 });

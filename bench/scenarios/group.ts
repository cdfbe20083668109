import { setTimeout as sleep } from 'node:timers/promises';
import { connectAll } from '../load/crowd';
import { Flow, type Receipts } from '../load/flow';
import { makeGroup } from '../load/groups';
import { Latencies } from '../load/histogram';
import { costs, watching } from '../load/watch';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';

const MEMBERS = [32, 200, 1_000] as const;
const BODY_BYTES = 64;
const INTERVAL_MS = 500;
const MESSAGES = 30;
const MESSAGES_QUICK = 8;

interface Spread {
  sentAt: number;
  first: number;
  last: number;
  count: number;
}

/** One person writes to a group whose members are all online: when the first has it, and when the last. */
async function group({ quick, startServer, option }: Surroundings, members: number): Promise<Metrics> {
  const server = await startServer();
  const people = await server.people(members);
  const id = await makeGroup(server.port, people);
  const spreads: Spread[] = [];
  const flow = new Flow({
    bodyBytes: BODY_BYTES,
    receipts: (option('receipts') ?? 'gathered') as Receipts,
    onDelivery: (number) => {
      const spread = spreads[number];
      if (spread === undefined) return;
      spread.last = performance.now();
      if (spread.count++ === 0) spread.first = spread.last;
    },
  });
  const devices = await connectAll(server.port, people, flow);
  const [sender] = devices;
  if (sender === undefined) throw new Error('nobody is there');
  const messages = quick ? MESSAGES_QUICK : MESSAGES;
  const used = await watching(server.pid, async () => {
    for (let n = 0; n < messages; n++) {
      spreads.push({ sentAt: performance.now(), first: 0, last: 0, count: 0 });
      flow.send(sender, id, performance.now());
      await sleep(INTERVAL_MS);
    }
    // What the last of them sets off: receipts are gathered for a second.
    await sleep(2 * INTERVAL_MS);
  });
  for (const device of devices) device.destroy();
  // The first finds a cold conversation and code that has not run yet.
  const measured = spreads.slice(2);
  const [first, last] = [new Latencies(), new Latencies()];
  for (const spread of measured) {
    first.add(spread.first - spread.sentAt);
    last.add(spread.last - spread.sentAt);
  }
  return {
    'devices missed': measured.reduce((sum, { count }) => sum + members - 1 - count, 0),
    ...flow.measured.acks.metrics('ack'),
    ...first.metrics('first device'),
    ...last.metrics('last device'),
    ...costs(used, messages),
  };
}

export const groupOf = (members: number): Case => ({
  name: `group of ${members}`,
  run: (surroundings) => group(surroundings, members),
});

export const groupScenario: Scenario = {
  name: 'group',
  about: 'one person writes to a group whose members are all online: first and last device',
  cases: MEMBERS.map(groupOf),
};

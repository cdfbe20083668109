import { setTimeout as sleep } from 'node:timers/promises';
import { beginPairs, connectAll } from '../load/crowd';
import type { Device } from '../load/device';
import { Flow, type Receipts } from '../load/flow';
import { Pacer } from '../load/pacer';
import { makePeople } from '../load/people';
import { costs, watching } from '../load/watch';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';

const CLIENTS = 200;
const BODY_BYTES = 64;
const RATES = [500, 1_000, 2_000, 5_000] as const;
/** How long answers that are still out are waited for. */
const DRAIN_MS_MAX = 20_000;
const DRAIN_POLL_MS = 50;

/** Every client has one message under way, always; or messages leave at a rate, whatever becomes of them. */
type Loop = { readonly kind: 'closed' } | { readonly kind: 'open'; readonly ratePerSecond: number };

/** Pairs of people who write to each other, one device each. */
async function direct(surroundings: Surroundings, loop: Loop): Promise<Metrics> {
  const { quick, option } = surroundings;
  const server = await surroundings.startServer();
  const database = await server.database();
  const people = await makePeople(database, server.secret, Number(option('clients') ?? CLIENTS));
  await database.end();
  const conversations = new Map<Device, string>();
  let isSending = false;
  const send = (device: Device, intendedAt: number): void => {
    const conversationId = conversations.get(device);
    if (isSending && device.isOpen && conversationId !== undefined) {
      flow.send(device, conversationId, intendedAt);
    }
  };
  const flow = new Flow({
    bodyBytes: BODY_BYTES,
    receipts: (option('receipts') ?? 'gathered') as Receipts,
    ...(loop.kind === 'open'
      ? {}
      : {
          onAnswer: (device) => {
            send(device, performance.now());
          },
        }),
  });
  const devices = await connectAll(server.port, people, flow);
  const ids = await beginPairs(devices);
  devices.forEach((device, n) => conversations.set(device, ids[n >> 1] as string));

  isSending = true;
  const stop = start(loop, devices, send);
  await sleep(quick ? 2_000 : 5_000);
  flow.begin();
  const used = await watching(server.pid, () => sleep(Number(option('seconds') ?? (quick ? 3 : 10)) * 1_000));
  const measured = flow.begin();
  isSending = false;
  stop();
  for (let waited = 0; flow.underWay > 0 && waited < DRAIN_MS_MAX; waited += DRAIN_POLL_MS) {
    await sleep(DRAIN_POLL_MS);
  }
  const { socketsLost, underWay } = flow;
  for (const device of devices) device.destroy();
  return {
    'acks/s': measured.acked / used.seconds,
    'deliveries/s': measured.delivered / used.seconds,
    ...measured.acks.metrics('ack'),
    ...measured.deliveries.metrics('delivered'),
    'generator late p99 ms': measured.lateness.at(99),
    refused: measured.refused,
    unanswered: underWay,
    'sockets lost': socketsLost,
    ...costs(used, measured.acked),
  };
}

/** @returns what ends it */
function start(
  loop: Loop,
  devices: readonly Device[],
  send: (device: Device, intendedAt: number) => void,
): () => void {
  if (loop.kind === 'closed') {
    for (const device of devices) send(device, performance.now());
    return () => undefined;
  }
  let next = 0;
  const pacer = new Pacer(loop.ratePerSecond, (at) => {
    send(devices[next++ % devices.length] as Device, at);
  });
  pacer.start();
  return () => {
    pacer.stop();
  };
}

const open = (ratePerSecond: number): Case => ({
  name: `direct open ${ratePerSecond}/s`,
  run: (surroundings) => direct(surroundings, { kind: 'open', ratePerSecond }),
});

export const directScenario: Scenario = {
  name: 'direct',
  about: '200 people write to each other in pairs, 64 bytes a message, receipts on',
  cases: [
    { name: 'direct closed', run: (surroundings) => direct(surroundings, { kind: 'closed' }) },
    ...RATES.map(open),
  ],
};

import { setTimeout as sleep } from 'node:timers/promises';
import { beginPairs, connectAll, sideBySide } from '../load/crowd';
import { Flow, type Receipts } from '../load/flow';
import { Pacer } from '../load/pacer';
import { costs, watching } from '../load/watch';
import { XmppDevice, type XmppPeer } from '../peers/xmpp';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';

const CLIENTS = 200;
const BODY_BYTES = 64;
const RATES = [500, 1_000, 2_000, 5_000] as const;
const OPENING_MAX = 16;
/** How long answers that are still out are waited for. */
const DRAIN_MS_MAX = 20_000;
const DRAIN_POLL_MS = 50;
const WARM_MESSAGES = 5_000;
const WARM_MS_MAX = 12_000;

/** Every client has one message under way, always; or messages leave at a rate, whatever becomes of them. */
type Loop = { readonly kind: 'closed' } | { readonly kind: 'open'; readonly ratePerSecond: number };

/** Sends the message that is due at `intendedAt` from client `n` to the other one of its pair. */
type Send = (n: number, intendedAt: number) => void;

const clientsOf = ({ option }: Surroundings): number => Number(option('clients') ?? CLIENTS);

/** Pairs of people who write to each other, one device each. */
async function direct(surroundings: Surroundings, loop: Loop): Promise<Metrics> {
  const { start, option } = surroundings;
  const target = await start();
  const numbers = new Map<object, number>();
  const closed: { send: Send } = { send: () => undefined };
  const flow = new Flow({
    bodyBytes: BODY_BYTES,
    receipts: (option('receipts') ?? 'gathered') as Receipts,
    onAnswer: (device) => {
      closed.send(numbers.get(device) ?? -1, performance.now());
    },
  });
  const devices = await connectAll(target.port, await target.people(clientsOf(surroundings)), flow);
  devices.forEach((device, n) => numbers.set(device, n));
  const ids = await beginPairs(devices);
  const send: Send = (n, intendedAt) => {
    const device = devices[n];
    if (device?.isOpen === true) flow.send(device, ids[n >> 1] as string, intendedAt);
  };
  try {
    return await measure(surroundings, { loop, flow, pid: target.pid, count: devices.length, send, closed });
  } finally {
    for (const device of devices) device.destroy();
  }
}

/** The same over XMPP: a message counts as acknowledged when the other one has it, because it is archived before. */
async function directXmpp(peer: XmppPeer, surroundings: Surroundings, loop: Loop): Promise<Metrics> {
  const flow = new Flow({ bodyBytes: BODY_BYTES, receipts: 'off' });
  const closed: { send: Send } = { send: () => undefined };
  const names = await peer.accounts(clientsOf(surroundings));
  const devices = await sideBySide(names, OPENING_MAX, (name, n) =>
    XmppDevice.open(peer, name, (body) => {
      if (!body.startsWith('#')) return;
      flow.arrived(body);
      closed.send(n ^ 1, performance.now());
    }),
  );
  const send: Send = (n, intendedAt) => {
    const device = devices[n];
    if (device?.isOpen === true) device.say(names[n ^ 1] as string, flow.next(intendedAt).body);
  };
  try {
    return await measure(surroundings, { loop, flow, pid: peer.pid, count: devices.length, send, closed });
  } finally {
    for (const device of devices) device.destroy();
  }
}

interface Course {
  readonly loop: Loop;
  readonly flow: Flow;
  readonly pid: number;
  /** Clients. */
  readonly count: number;
  readonly send: Send;
  /** Called with every answer; sends the next one while a closed loop runs. */
  readonly closed: { send: Send };
}

async function measure({ quick, option }: Surroundings, course: Course): Promise<Metrics> {
  const { flow } = course;
  const stop = begin(course);
  await warmUp(flow, quick ? 2_000 : 5_000);
  flow.begin();
  const used = await watching(course.pid, () => sleep(Number(option('seconds') ?? (quick ? 3 : 10)) * 1_000));
  const measured = flow.begin();
  stop();
  for (let waited = 0; flow.underWay > 0 && waited < DRAIN_MS_MAX; waited += DRAIN_POLL_MS) {
    await sleep(DRAIN_POLL_MS);
  }
  return {
    'acks/s': measured.acked / used.seconds,
    'deliveries/s': measured.delivered / used.seconds,
    ...measured.acks.metrics('ack'),
    ...measured.deliveries.metrics('delivered'),
    'generator late p99 ms': measured.lateness.at(99),
    refused: measured.refused,
    unanswered: flow.underWay,
    'sockets lost': flow.socketsLost,
    ...costs(used, measured.acked),
  };
}

/** A machine that is busy with other things needs longer until the code that is measured is compiled. */
async function warmUp(flow: Flow, ms: number): Promise<void> {
  const startedAt = performance.now();
  await sleep(ms);
  while (flow.measured.acked < WARM_MESSAGES && performance.now() - startedAt < WARM_MS_MAX) {
    await sleep(DRAIN_POLL_MS);
  }
}

/** @returns what ends it */
function begin({ loop, count, send, closed }: Course): () => void {
  if (loop.kind === 'closed') {
    closed.send = send;
    for (let n = 0; n < count; n++) send(n, performance.now());
    return () => {
      closed.send = () => undefined;
    };
  }
  let next = 0;
  const pacer = new Pacer(loop.ratePerSecond, (at) => {
    send(next++ % count, at);
  });
  pacer.start();
  return () => {
    pacer.stop();
  };
}

const caseOf = (name: string, loop: Loop): Case => ({
  name,
  hasFloor: true,
  run: (surroundings) => direct(surroundings, loop),
  runXmpp: (peer, surroundings) => directXmpp(peer, surroundings, loop),
});

export const directOpen = (surroundings: Surroundings, ratePerSecond: number): Promise<Metrics> =>
  direct(surroundings, { kind: 'open', ratePerSecond });

export const directScenario: Scenario = {
  name: 'direct',
  about: '200 people write to each other in pairs, 64 bytes a message, receipts on',
  cases: [
    caseOf('direct closed', { kind: 'closed' }),
    ...RATES.map((ratePerSecond) =>
      caseOf(`direct open ${ratePerSecond}/s`, { kind: 'open', ratePerSecond }),
    ),
  ],
};

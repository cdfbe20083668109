import { setTimeout as sleep } from 'node:timers/promises';
import { connectAll } from '../load/crowd';
import type { Device } from '../load/device';
import { Flow, type Receipts } from '../load/flow';
import { makeGroup } from '../load/groups';
import { costs, watching } from '../load/watch';
import type { Metrics, Scenario, Surroundings } from '../scenario';

const MEMBERS = 50;
const ROOMS = 10;
/** In each room, each with one message under way. */
const WRITERS = 4;
const BODY_BYTES = 64;

/** People in rooms who read what some of them write as fast as they can. */
async function rooms({ quick, startServer, option }: Surroundings): Promise<Metrics> {
  const server = await startServer();
  const people = await server.people(ROOMS * MEMBERS);
  const ids: string[] = [];
  for (let room = 0; room < ROOMS; room++) {
    ids.push(await makeGroup(server.port, people.slice(room * MEMBERS, (room + 1) * MEMBERS)));
  }
  const roomOf = new Map<Device, string>();
  let isRunning = true;
  const write = (device: Device): void => {
    if (isRunning && device.isOpen) flow.send(device, roomOf.get(device) ?? '', performance.now());
  };
  const flow = new Flow({
    bodyBytes: BODY_BYTES,
    receipts: (option('receipts') ?? 'gathered') as Receipts,
    onAnswer: write,
  });
  const devices = await connectAll(server.port, people, flow);
  devices.forEach((device, n) => roomOf.set(device, ids[Math.floor(n / MEMBERS)] ?? ''));
  devices.filter((_, n) => n % MEMBERS < WRITERS).forEach(write);
  await sleep(quick ? 2_000 : 5_000);
  flow.begin();
  const used = await watching(server.pid, () => sleep(Number(option('seconds') ?? (quick ? 3 : 10)) * 1_000));
  const measured = flow.begin();
  isRunning = false;
  for (const device of devices) device.destroy();
  return {
    'deliveries/s': measured.delivered / used.seconds,
    'acks/s': measured.acked / used.seconds,
    ...measured.deliveries.metrics('delivered'),
    refused: measured.refused,
    'sockets lost': flow.socketsLost,
    'node CPU µs/delivery': used.server.nodeUs / Math.max(1, measured.delivered),
    ...costs(used, measured.acked),
  };
}

export const roomsScenario: Scenario = {
  name: 'rooms',
  about: `${ROOMS} rooms of ${MEMBERS}, ${WRITERS} writers in each: deliveries a second`,
  cases: [{ name: `rooms of ${MEMBERS}`, run: rooms }],
};

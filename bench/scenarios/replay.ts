import { setTimeout as sleep } from 'node:timers/promises';
import { connectAll } from '../load/crowd';
import type { Device } from '../load/device';
import { Flow } from '../load/flow';
import { makeGroup } from '../load/groups';
import { readLogs, type ChannelDay } from '../load/irc-log';
import type { Server } from '../load/server';
import { costs, watching } from '../load/watch';
import { MissingInput, type Metrics, type Scenario, type Surroundings } from '../scenario';

const LOGS_DEFAULT = '../shared/data/ubuntu-irc';
const CHANNELS = 3;
/** Of a room, as the protocol's limits have it unless they are configured. */
const MEMBERS_MAX = 1_000;
const P99_MS_MAX = 100;
/** Times real time; the next step is this many times as fast. */
const SPEED_FIRST = 40;
const SPEED_STEP = 1.5;
const STEPS_MAX = 12;
const STEP_SECONDS = 8;
const STEP_SECONDS_QUICK = 3;
const SETTLE_MS = 1_500;
const TICK_MS = 1;

/** A channel that is said again: everybody who ever speaks in it is there and reads. */
class Channel {
  private next = 0;
  private at = 0;

  private constructor(
    private readonly day: ChannelDay,
    private readonly id: string,
    readonly devices: ReadonlyMap<string, Device>,
  ) {}

  static async open(server: Server, day: ChannelDay, flow: Flow): Promise<Channel> {
    const nicks = day.nicks.slice(0, MEMBERS_MAX);
    const people = await server.people(nicks.length);
    const id = await makeGroup(server.port, people);
    const devices = await connectAll(server.port, people, flow);
    return new Channel(day, id, new Map(devices.map((device, n) => [nicks[n] as string, device])));
  }

  /** Says what was said in the next so many milliseconds of the day, beginning anew at its end. */
  say(flow: Flow, logMs: number, now: number): void {
    const { lines } = this.day;
    this.at += logMs;
    for (let line = lines[this.next]; line !== undefined && line.at <= this.at; line = lines[++this.next]) {
      const device = this.devices.get(line.nick);
      if (device?.isOpen === true) flow.send(device, this.id, now, line.text);
    }
    if (this.next >= lines.length) [this.next, this.at] = [0, 0];
  }
}

/** Plays all channels at so many times real time, until stopped. */
function play(channels: readonly Channel[], flow: Flow, speed: number): () => void {
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    for (const channel of channels) channel.say(flow, (now - last) * speed, now);
    last = now;
  }, TICK_MS);
  return () => {
    clearInterval(timer);
  };
}

/** Real conversations, faster and faster, for as long as 99 of 100 deliveries take less than a tenth of a second. */
async function replay({ quick, startServer, option }: Surroundings): Promise<Metrics> {
  const folder = option('logs') ?? process.env['IRC_LOGS'] ?? LOGS_DEFAULT;
  const days = readLogs(folder, quick ? 1 : CHANNELS);
  if (days.length === 0) {
    throw new MissingInput(`no IRC logs (*.raw.txt) in ${folder}: say where by --logs <folder> or IRC_LOGS`);
  }
  const server = await startServer();
  const flow = new Flow({ bodyBytes: 0, receipts: 'gathered' });
  const channels: Channel[] = [];
  for (const day of days) channels.push(await Channel.open(server, day, flow));
  const devices = channels.flatMap((channel) => [...channel.devices.values()]);
  let reached: Metrics = { 'highest speed, × real time': 0 };
  let speed = SPEED_FIRST;
  for (let step = 0; step < STEPS_MAX; step++, speed *= SPEED_STEP) {
    const stop = play(channels, flow, speed);
    await sleep(SETTLE_MS);
    flow.begin();
    const seconds = quick ? STEP_SECONDS_QUICK : STEP_SECONDS;
    const used = await watching(server.pid, () => sleep(seconds * 1_000));
    const measured = flow.begin();
    stop();
    if (measured.deliveries.at(99) >= P99_MS_MAX || measured.refused > 0) break;
    reached = {
      'highest speed, × real time': speed,
      channels: channels.length,
      'people online': devices.length,
      'messages/s': measured.acked / used.seconds,
      'deliveries/s': measured.delivered / used.seconds,
      ...measured.deliveries.metrics('delivered'),
      ...costs(used, measured.acked),
    };
  }
  for (const device of devices) device.destroy();
  return reached;
}

export const replayScenario: Scenario = {
  name: 'replay',
  about: `real IRC channels at the highest speed that keeps p99 below ${P99_MS_MAX} ms (--logs folder, or IRC_LOGS)`,
  cases: [{ name: 'replay', run: replay }],
};

import { setTimeout as sleep } from 'node:timers/promises';
import { beginPairs, connectAll, sideBySide } from '../load/crowd';
import { Device, numberField, stringField } from '../load/device';
import { Flow } from '../load/flow';
import { makeGroup } from '../load/groups';
import { Latencies } from '../load/histogram';
import { Pacer } from '../load/pacer';
import type { Server } from '../load/server';
import { costs, watching } from '../load/watch';
import type { Metrics, Scenario, Surroundings } from '../scenario';

const PEOPLE = 400;
const GROUP_MEMBERS = 10;
const GROUPS = 60;
const OPENING_MAX = 16;
const BODY_BYTES = 64;
const RATE = 1_000;
const RATE_QUICK = 200;
/** Shares of what is sent. */
const DIRECT = 0.7;
const EDITED = 0.05;
const TYPED = 0.2;
/** Each second. */
const RECONNECTS = 4;
const HISTORY_PAGES = 20;
const PRESENCE_CHANGES = 10;
const DRAIN_MS = 2_000;

interface Room {
  readonly id: string;
  readonly members: readonly number[];
}

/** What a day looks like, all at once. */
class Town {
  readonly history = new Latencies();
  readonly returns = new Latencies();
  failures = 0;
  private readonly latest = new Map<string, { readonly by: Device; readonly seq: number }>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly pacer: Pacer;

  constructor(
    private readonly server: Server,
    readonly devices: Device[],
    private readonly rooms: { readonly direct: readonly Room[]; readonly groups: readonly Room[] },
    private readonly flow: Flow,
    rate: number,
  ) {
    this.pacer = new Pacer(rate, (at) => {
      this.say(at);
    });
  }

  begin(): void {
    this.pacer.start();
    this.every(1_000 / RECONNECTS, () => this.reconnect());
    this.every(1_000 / HISTORY_PAGES, () => this.readHistory());
    this.every(1_000 / PRESENCE_CHANGES, () => {
      const status = Math.random() < 0.5 ? 'busy' : 'online';
      this.someone()?.send(`{"event":"presence.set","id":"p","data":{"status":"${status}"}}`);
      return Promise.resolve();
    });
  }

  end(): void {
    this.pacer.stop();
    for (const timer of this.timers) clearInterval(timer);
  }

  /** Told of every acknowledgement: what can be edited. */
  acked(device: Device, text: string): void {
    this.latest.set(stringField(text, 'conversationId'), { by: device, seq: numberField(text, 'seq') });
  }

  private say(at: number): void {
    const kind = Math.random() < DIRECT ? this.rooms.direct : this.rooms.groups;
    const room = pick(kind);
    const device = this.devices[pick(room.members)];
    if (device?.isOpen !== true) return;
    if (Math.random() < TYPED) {
      device.send(`{"event":"typing","data":{"conversationId":"${room.id}","isTyping":true}}`);
    }
    this.flow.send(device, room.id, at);
    const last = this.latest.get(room.id);
    if (last?.by.isOpen === true && Math.random() < EDITED) {
      last.by.send(
        `{"event":"message.edit","id":"e","data":{"conversationId":"${room.id}","target":${last.seq},` +
          `"content":{"type":"text","body":"as I should have said"}}}`,
      );
    }
  }

  private async reconnect(): Promise<void> {
    const n = Math.floor(Math.random() * this.devices.length);
    const device = this.devices[n];
    if (device?.isOpen !== true) return;
    device.destroy();
    const startedAt = performance.now();
    const back = await Device.open(this.server.port, device.person, this.flow);
    this.devices[n] = back;
    const { answer } = await back.requestPages('sync', { recent: 20 });
    if (answer.event !== 'sync.done') throw new Error(JSON.stringify(answer));
    this.returns.add(performance.now() - startedAt);
  }

  private async readHistory(): Promise<void> {
    const room = pick(this.rooms.groups);
    const person = this.devices[pick(room.members)]?.person;
    const startedAt = performance.now();
    const answer = await fetch(`${this.server.url}/api/v1/conversations/${room.id}/messages?limit=50`, {
      headers: { authorization: `Bearer ${person?.token ?? ''}` },
    });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`history: ${answer.status}`);
    this.history.add(performance.now() - startedAt);
  }

  private someone(): Device | undefined {
    const device = pick(this.devices);
    return device.isOpen ? device : undefined;
  }

  private every(ms: number, work: () => Promise<void>): void {
    this.timers.push(
      setInterval(() => {
        work().catch(() => {
          this.failures++;
        });
      }, ms),
    );
  }
}

const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;

async function mixed({ quick, startServer, option }: Surroundings): Promise<Metrics> {
  const rate = Number(option('rate') ?? (quick ? RATE_QUICK : RATE));
  const server = await startServer();
  const people = await server.people(PEOPLE);
  const town: { current?: Town } = {};
  const flow = new Flow({
    bodyBytes: BODY_BYTES,
    receipts: 'gathered',
    onAck: (device, text) => town.current?.acked(device, text),
  });
  const devices = await connectAll(server.port, people, flow);
  const pairs = await beginPairs(devices);
  const direct = pairs.map((id, n) => ({ id, members: [2 * n, 2 * n + 1] }));
  const groups = await sideBySide(Array.from({ length: GROUPS }), OPENING_MAX, async (_, n) => {
    const members = Array.from({ length: GROUP_MEMBERS }, (__, m) => (n * 7 + m * 13) % PEOPLE);
    return {
      id: await makeGroup(
        server.port,
        members.map((m) => people[m] as (typeof people)[0]),
      ),
      members,
    };
  });
  const live = new Town(server, devices, { direct, groups }, flow, rate);
  town.current = live;
  live.begin();
  await sleep(quick ? 2_000 : 5_000);
  flow.begin();
  const used = await watching(server.pid, () => sleep(Number(option('seconds') ?? (quick ? 4 : 15)) * 1_000));
  const measured = flow.begin();
  live.end();
  await sleep(DRAIN_MS);
  for (const device of live.devices) device.destroy();
  return {
    'acks/s': measured.acked / used.seconds,
    'deliveries/s': measured.delivered / used.seconds,
    ...measured.acks.metrics('ack'),
    ...measured.deliveries.metrics('delivered'),
    ...live.history.metrics('history page'),
    ...live.returns.metrics('back and synced'),
    refused: flow.refusals,
    'failed reconnects and pages': live.failures,
    ...costs(used, measured.acked),
  };
}

export const mixedScenario: Scenario = {
  name: 'mixed',
  about: `7 of 10 messages to one person, 3 to groups of ${GROUP_MEMBERS}; receipts, typing, presence, edits, reconnects, history (--rate)`,
  cases: [{ name: 'mixed', run: mixed }],
};

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { validateServerFrame } from './contract-validator';
import { RawDevice, type Frame } from './raw-device';
import { call, registerUser, type TestUser } from './rest';
import { eventually } from './sdk-device';
import type { ServerProcess } from './server-process';

interface SyncedConversation {
  readonly conversationId: string;
  readonly headSeq: number;
  readonly events: readonly Frame[];
}

/** How many shards a node takes from relays, as its metrics say. */
export async function relayedShards(node: ServerProcess): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(/^parley_feed_shards\{source="relay"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

/** All of these nodes take the one shard there is from a relay. */
export async function areRelayed(nodes: readonly ServerProcess[]): Promise<boolean> {
  return (await Promise.all(nodes.map(relayedShards))).every((count) => count === 1);
}

/** A relay takes its lease, finds that there is enough to relay, and hears who is where: seconds on a good day. */
export const RELAY_MS_MAX = 120_000;

/** Something has to happen for it to be enough to relay. */
export async function talkUntilRelayed(nodes: readonly ServerProcess[]): Promise<void> {
  const url = nodes[0]?.url ?? '';
  const [ann, bob] = [await registerUser(url, 'ann'), await registerUser(url, 'bob')];
  const device = await RawDevice.signIn(url, ann.token);
  await eventually(
    'a relay',
    async () => {
      const content = { type: 'text', body: 'is anybody there?' };
      const answer = await device.request('message.send', {
        to: bob.id,
        clientMessageId: randomUUID(),
        content,
      });
      return answer.event === 'message.ack' && (await areRelayed(nodes));
    },
    RELAY_MS_MAX,
  );
  await device.close();
}

const SENDERS = 5;
const MESSAGES_EACH = 800;
const UNDER_WAY = 20;
/** For the CPU that a node takes when nothing happens. */
const REST_MS = 5_000;

async function cpuMicros(node: ServerProcess): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1] ?? NaN) * 1_000_000;
}

/** CPU, in microseconds an event, of a node that nobody is connected to while people talk on another one. */
export async function costOfEvents(bystander: ServerProcess, other: ServerProcess): Promise<number> {
  const devices: RawDevice[] = [];
  const peer = await registerUser(other.url, 'peer');
  for (let n = 0; n < SENDERS; n++) {
    devices.push(await RawDevice.signIn(other.url, (await registerUser(other.url, 'sender')).token));
  }
  const restedAt = await cpuMicros(bystander);
  const restBegan = performance.now();
  await sleep(REST_MS);
  const idlePerMs = ((await cpuMicros(bystander)) - restedAt) / (performance.now() - restBegan);
  const before = await cpuMicros(bystander);
  const began = performance.now();
  await Promise.all(
    devices.flatMap((device) =>
      Array.from({ length: UNDER_WAY }, async () => {
        for (let n = 0; n < MESSAGES_EACH / UNDER_WAY; n++) {
          const content = {
            type: 'text',
            body: 'a message of about eighty characters, which is what people tend to write',
          };
          const data = { to: peer.id, clientMessageId: randomUUID(), content };
          const { event } = await device.request('message.send', data);
          if (event !== 'message.ack') throw new Error(`a message was answered by ${event}`);
        }
      }),
    ),
  );
  await sleep(1_000);
  const used = (await cpuMicros(bystander)) - before - idlePerMs * (performance.now() - began);
  for (const device of devices) await device.close();
  return used / (SENDERS * MESSAGES_EACH);
}

/** What devices on several nodes are told of what is said on others: the same, wherever the nodes have it from. */
export function clusterDelivery(from: string, nodes: () => readonly ServerProcess[]): void {
  describe(`told of each other ${from}`, () => {
    let people: TestUser[];
    let devices: RawDevice[];
    let room: string;

    const on = async (n: number, user: TestUser): Promise<RawDevice> => {
      const device = await RawDevice.signIn(nodes()[n % nodes().length]?.url ?? '', user.token, {
        inspect: validateServerFrame,
      });
      devices.push(device);
      return device;
    };
    const say = (device: RawDevice, body: string): Promise<Frame> =>
      device.request('message.send', {
        conversationId: room,
        clientMessageId: randomUUID(),
        content: { type: 'text', body },
      });
    const seqsOf = (device: RawDevice): number[] =>
      device.frames
        .filter(({ id, data }) => id === undefined && data['conversationId'] === room)
        .flatMap(({ data: { seq } }) => (typeof seq === 'number' ? [seq] : []));
    const rising = (first: number, last: number): number[] =>
      Array.from({ length: last - first + 1 }, (_, n) => first + n);

    beforeEach(async () => {
      devices = [];
      people = [];
      for (const [n, name] of ['ann', 'bob', 'carl'].entries()) {
        people.push(await registerUser(nodes()[n]?.url ?? '', name));
      }
      const [ann, ...others] = people as [TestUser, ...TestUser[]];
      const body = { kind: 'group', title: 'tea', memberIds: others.map(({ id }) => id) };
      const answer = await call(nodes()[1]?.url ?? '', 'POST', '/api/v1/conversations', {
        token: ann.token,
        body,
      });
      room = (answer.body as { id: string }).id;
    });
    afterEach(async () => {
      for (const device of devices) await device.close();
    });

    it('of every event once and in order, and of nothing after a removal', async () => {
      const [ann, bob, carl] = people as [TestUser, TestUser, TestUser];
      const all = [await on(0, ann), await on(1, bob), await on(2, carl), await on(2, bob)];
      const [hers, his, third] = all as [RawDevice, RawDevice, RawDevice, RawDevice];
      // A device that begins in the middle knows nothing of what was before: it asks once, as all do.
      for (const device of all) await device.sync({});
      for (let n = 0; n < 15; n++) {
        await Promise.all([say(hers, `ann ${n}`), say(his, `bob ${n}`), say(third, `carl ${n}`)]);
      }
      const path = `/api/v1/conversations/${room}/members/${carl.id}`;
      expect((await call(nodes()[1]?.url ?? '', 'DELETE', path, { token: ann.token })).status).toBe(200);
      const last = Number((await say(hers, 'without carl')).data['seq']);
      const removal = await third.waitFor(
        ({ event, data }) => event === 'membership.changed' && data['change'] === 'removed',
        'the removal',
      );
      for (const device of [hers, his, all[3] as RawDevice]) {
        await eventually('everything', () => seqsOf(device).at(-1) === last);
        const seqs = seqsOf(device).filter((seq) => seq > 0);
        expect(seqs).toEqual(rising(1, last));
      }
      expect(seqsOf(third).filter((seq) => seq > 0)).toEqual(rising(1, Number(removal.data['seq'])));
    });

    it('of exactly what they miss, when they come while others talk', async () => {
      const [ann, bob] = people as [TestUser, TestUser];
      const hers = await on(0, ann);
      const talk = { goesOn: true };
      const talking = (async () => {
        for (let n = 0; talk.goesOn; n++) await say(hers, `word ${n}`);
      })();
      const came: { readonly device: RawDevice; readonly pages: readonly Frame[] }[] = [];
      for (let n = 0; n < 6; n++) {
        const device = await on(1 + n, bob);
        came.push({ device, pages: (await device.sync({ cursors: { [room]: 0 }, window: 1_000 })).pages });
      }
      talk.goesOn = false;
      await talking;
      const last = Number((await say(hers, 'the end')).data['seq']);
      for (const { device, pages } of came) {
        await eventually('everything', () => seqsOf(device).at(-1) === last);
        const synced = pages
          .flatMap(({ data }) => data['conversations'] as SyncedConversation[])
          .filter(({ conversationId }) => conversationId === room)
          .flatMap(({ events }) => events.map(({ data }) => Number(data['seq'])));
        expect([...new Set([...synced, ...seqsOf(device)])].sort((a, b) => a - b)).toEqual(rising(1, last));
      }
    });
  });
}

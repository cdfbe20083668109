import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  FileCursorStore,
  FileOutboxStore,
  MemoryCursorStore,
  ParleyClient,
  ParleyApi,
  type StopReason,
} from '../../sdk/node';
import type { EventFrame } from '../../src/protocol/events';
import { LossyLine } from '../support/lossy-line';
import { call } from '../support/rest';
import {
  connectedDevice,
  deviceOf,
  eventually,
  PASSWORD,
  signUp,
  type SdkDevice,
} from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';
import { verifyAction } from '../support/verify-action';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** The real client on real sockets, through everything that happens to a device. */
describe('the SDK on real sockets', () => {
  let node: TestNode;
  let ann: ParleyApi;
  let bob: ParleyApi;
  const open: SdkDevice[] = [];

  beforeAll(async () => {
    node = await startTestNode({ rateLimits: false });
  });
  afterAll(() => node.stop());
  beforeEach(async () => {
    [ann, bob] = await Promise.all([signUp(node.url, 'ann'), signUp(node.url, 'bob')]);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map(({ client }) => client.close()));
  });

  const device = async (
    ...args: Parameters<typeof connectedDevice> extends [string, ...infer R] ? R : never
  ) => {
    const made = await connectedDevice(node.url, ...args);
    open.push(made);
    return made;
  };
  const idOf = (api: ParleyApi): string => api.session?.user.id ?? '';
  const group = async (): Promise<string> =>
    (await ann.createConversation({ kind: 'group', title: 'tea', memberIds: [idOf(bob)] })).id;
  const bodiesOf = async (api: ParleyApi, id: string, minSeq: number): Promise<unknown[]> => {
    const { items } = await api.messages(id, { limit: 100, minSeq });
    return items.map(bodyOf);
  };
  const eventsOf = ({ client }: { client: ParleyClient }): EventFrame[] => {
    const seen: EventFrame[] = [];
    client.on('event', (frame) => seen.push(frame));
    return seen;
  };
  const seqsOf = (frames: readonly EventFrame[], id: string): number[] =>
    frames.filter(({ data }) => data.conversationId === id).map(({ data }) => data.seq);

  it('sends what was said before, during and after a restart of the node, once and in order', async () => {
    const id = await group();
    const [a, b] = [await device(ann, 'phone'), await device(bob, 'tablet')];
    const bodies = Array.from({ length: 30 }, (_, n) => `m${n}`);
    const say = (from: number, to: number) =>
      bodies.slice(from, to).map((body) => a.client.send({ conversationId: id }, body).acked);
    const before = say(0, 10);
    const restarting = node.restart();
    const during = say(10, 20);
    await restarting;
    const acks = await Promise.all([...before, ...during, ...say(20, 30)]);
    expect(a.client.outboxSize).toBe(0);
    expect(await bodiesOf(bob, id, acks.at(-1)?.seq ?? 0)).toEqual(bodies);
    await verifyAction(node.url, [a, b], () => eventually('bob in touch', () => b.client.isConnected));
    expect([a.errors, b.errors]).toEqual([[], []]);
  });

  it('sends again when the acknowledgement was lost, and is stored once', async () => {
    const id = await group();
    const line = new LossyLine((event) => event === 'message.ack', 2);
    const a = await device(ann, 'phone', { WebSocket: line.WebSocket });
    const ack = await a.client.send({ conversationId: id }, 'once').acked;
    expect(line.lost).toBe(2);
    expect(ack.duplicate).toBe(true);
    expect(await bodiesOf(bob, id, ack.seq)).toEqual(['once']);
    await verifyAction(node.url, [a], () => a.client.send({ conversationId: id }, 'twice').acked);
  });

  it('hands over exactly what a device missed while it was away', async () => {
    const id = await group();
    const a = await device(ann, 'phone');
    const cursorStore = new MemoryCursorStore();
    const away = await device(bob, 'tablet', { cursorStore, deviceId: 'bobs-tablet' });
    const had = eventsOf(away);
    const first = await a.client.send({ conversationId: id }, 'seen').acked;
    await eventually('the first message', () => seqsOf(had, id).includes(first.seq));
    await away.client.close();
    await a.client.edit(id, first.seq, 'seen, edited');
    await a.client.react(id, first.seq, '👍');
    const gone = await a.client.send({ conversationId: id }, 'gone').acked;
    await a.client.delete(id, gone.seq);
    await ann.addMembers(id, [idOf(await signUp(node.url, 'cid'))]);
    const last = await a.client.send({ conversationId: id }, 'last').acked;

    const back = deviceOf(node.url, bob, 'tablet', { cursorStore, deviceId: 'bobs-tablet' });
    open.push(back);
    const got = eventsOf(back);
    await back.client.connect();
    const { items } = await bob.events(id, { limit: 100 });
    const after = Math.max(...seqsOf(had, id));
    const missed = items.filter(({ data }) => data.seq > after && data.seq <= last.seq);
    expect(missed.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['message.edited', 'reaction.changed', 'message.deleted', 'membership.changed']),
    );
    expect(got.filter(({ data }) => data.conversationId === id && data.seq <= last.seq)).toEqual(missed);
  });

  it('says what it leaves out when too much was missed; REST has the rest', async () => {
    const id = await group();
    const a = await device(ann, 'phone');
    const cursorStore = new MemoryCursorStore();
    const options = { cursorStore, deviceId: 'bobs-tablet', syncWindow: 10, autoDelivered: false };
    const away = await device(bob, 'tablet', options);
    const had = eventsOf(away);
    const first = await a.client.send({ conversationId: id }, 'seen').acked;
    await eventually('the first message', () => seqsOf(had, id).includes(first.seq));
    const cursor = Math.max(...seqsOf(had, id));
    await away.client.close();
    for (let n = 0; n < 40; n++) await a.client.send({ conversationId: id }, `missed ${n}`).acked;

    const back = deviceOf(node.url, bob, 'tablet', options);
    open.push(back);
    const got = eventsOf(back);
    const gaps: { conversationId: string; from: number; headSeq: number }[] = [];
    back.client.on('limited', (gap) => gaps.push(gap));
    await back.client.connect();
    expect(gaps).toMatchObject([{ conversationId: id }]);
    const newest = seqsOf(got, id);
    expect([newest.length, newest[0]]).toEqual([10, gaps[0]?.from]);
    expect(back.client.conversations.get(id)?.unread).toBe(41);
    const { items } = await bob.events(id, { after: cursor, limit: 100 });
    const filled = items.map(({ data }) => data.seq).filter((seq) => seq < (gaps[0]?.from ?? 0));
    // Dense: nothing lies between what it had, what REST fills in, and what the sync brought.
    const all = [...filled, ...newest];
    expect(all).toEqual(all.map((_seq, n) => cursor + 1 + n));
    back.client.conversations.addHistory((await bob.messages(id, { limit: 100 })).items);
    expect(back.client.conversations.get(id)?.messages).toHaveLength(41);
  });

  it('goes on where its files say after the application was started again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parley-sdk-'));
    const id = await group();
    const a = await device(ann, 'phone');
    const options = () => ({
      deviceId: 'bobs-laptop',
      cursorStore: new FileCursorStore(join(folder, 'cursors.json')),
      outboxStore: new FileOutboxStore(join(folder, 'outbox.json')),
    });
    try {
      const first = await device(bob, 'laptop', options());
      const had = eventsOf(first);
      const one = await a.client.send({ conversationId: id }, 'one').acked;
      await eventually('one', () => seqsOf(had, id).includes(one.seq));
      first.line.cut();
      const unsent = first.client.send({ conversationId: id }, 'said offline');
      unsent.acked.catch(() => undefined);
      await first.client.close();
      const two = await a.client.send({ conversationId: id }, 'two').acked;

      const second = deviceOf(node.url, bob, 'laptop', options());
      open.push(second);
      const got = eventsOf(second);
      await second.client.connect();
      await eventually('an empty outbox', () => second.client.outboxSize === 0);
      await eventually('two', () => seqsOf(got, id).includes(two.seq));
      const both = [...seqsOf(had, id), ...seqsOf(got, id)];
      expect(both).toEqual([...new Set(both)].sort((x, y) => x - y));
      expect(await bodiesOf(ann, id, two.seq + 1)).toEqual(['one', 'two', 'said offline']);
    } finally {
      await Promise.all(open.splice(0).map(({ client }) => client.close()));
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('lets go of a conversation it was removed from while away', async () => {
    const id = await group();
    const b = await device(bob, 'tablet');
    await eventually('the conversation', () => b.client.conversations.get(id));
    b.line.cut();
    await eventually('offline', () => !b.client.isConnected);
    const unsent = b.client.send({ conversationId: id }, 'am I still there?').acked;
    const removed: string[] = [];
    b.client.on('removed', ({ conversationId }) => removed.push(conversationId));
    unsent.catch(() => undefined);
    await ann.removeMember(id, idOf(bob));
    b.line.mend();
    await expect(unsent).rejects.toMatchObject({ code: 'not_a_member' });
    await eventually('the removal', () => removed.length > 0);
    expect([removed, b.client.conversations.get(id), b.client.outboxSize]).toEqual([[id], undefined, 0]);
    await verifyAction(node.url, [b], () => Promise.resolve());
  });

  it(`brings devices together whose lines break at random (SEED=${SEED})`, async () => {
    const random = randomFrom(SEED);
    const id = await group();
    const devices = await Promise.all([
      device(ann, 'phone'),
      device(ann, 'laptop'),
      device(bob, 'tablet'),
      device(bob, 'desktop'),
    ]);
    const seen = devices.map(eventsOf);
    const acks: Promise<unknown>[] = [];
    for (let n = 0; n < 80; n++) {
      const someone = devices[Math.floor(random() * devices.length)] as SdkDevice;
      const what = random();
      if (what < 0.1) someone.line.cut();
      else if (what < 0.25) for (const { line } of devices) line.mend();
      else acks.push(someone.client.send({ conversationId: id }, `m${n}`).acked);
      await new Promise((resolve) => setTimeout(resolve, random() * 20));
    }
    for (const { line } of devices) line.mend();
    await Promise.all(acks);
    await eventually('everybody in touch', () => devices.every(({ client }) => client.isConnected));
    await verifyAction(node.url, devices, () => Promise.resolve());
    for (const [n, frames] of seen.entries()) {
      const seqs = seqsOf(frames, id);
      expect([devices[n]?.name, seqs]).toEqual([devices[n]?.name, [...new Set(seqs)].sort((x, y) => x - y)]);
    }
    expect(devices[2].client.conversations.get(id)?.messages).toHaveLength(acks.length);
  });

  it('stops for good when signed out, there or on another device', async () => {
    const stops = (client: ParleyClient): StopReason[] => {
      const reasons: StopReason[] = [];
      client.on('stopped', ({ reason }) => reasons.push(reason));
      return reasons;
    };
    const phone = await device(ann, 'phone', { deviceId: 'anns-phone' });
    const annsWatch = new ParleyApi({ url: node.url });
    await annsWatch.login({ username: ann.session?.user.username ?? '', password: PASSWORD });
    const watch = await device(annsWatch, 'watch', { deviceId: 'anns-watch' });
    const tablet = await device(bob, 'tablet');
    const [phoneStops, watchStops] = [stops(phone.client), stops(watch.client)];
    const { status } = await call(node.url, 'DELETE', '/api/v1/devices/anns-watch', { token: phone.token });
    expect(status).toBe(204);
    await eventually('the stop of the watch', () => watchStops.length > 0);
    expect([watchStops, phoneStops, phone.client.isConnected]).toEqual([['signedOut'], [], true]);
    await ann.logout();
    await eventually('the stop of the phone', () => phoneStops.length > 0);
    expect([phoneStops, phone.client.isConnected, tablet.client.isConnected]).toEqual([
      ['signedOut'],
      false,
      true,
    ]);
    expect(ann.session).toBeUndefined();
  });

  it('gives a device id to whoever connected last, and leaves it there', async () => {
    const older = await device(ann, 'older', { deviceId: 'one-device' });
    const stopped = new Promise<StopReason>((resolve) => {
      older.client.on('stopped', ({ reason }) => {
        resolve(reason);
      });
    });
    const newer = await device(ann, 'newer', { deviceId: 'one-device' });
    expect(await stopped).toBe('signedOut');
    const id = await group();
    await newer.client.send({ conversationId: id }, 'here').acked;
    expect([older.client.isConnected, newer.client.isConnected]).toEqual([false, true]);
  });
});

describe('the SDK where access tokens live for two seconds', () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await startTestNode({ accessTokenTtlMs: 2_000, rateLimits: false });
  });
  afterAll(() => node.stop());

  it('renews them by itself, on the socket and over REST, and loses nothing', async () => {
    const [ann, bob] = await Promise.all([signUp(node.url, 'ann'), signUp(node.url, 'bob')]);
    const phone = await connectedDevice(node.url, ann, 'phone');
    const laptop = await connectedDevice(node.url, ann, 'laptop');
    const tablet = await connectedDevice(node.url, bob, 'tablet');
    const fixed = new ParleyClient({ url: node.url, token: ann.session?.accessToken ?? '' });
    const fixedStopped = new Promise<StopReason>((resolve) => {
      fixed.on('stopped', ({ reason }) => {
        resolve(reason);
      });
    });
    await fixed.connect();
    const { id } = await ann.createConversation({
      kind: 'group',
      memberIds: [bob.session?.user.id ?? ''],
      title: 'tea',
    });
    const startedAt = Date.now();
    const acks = [];
    while (Date.now() - startedAt < 5_000) {
      acks.push(phone.client.send({ conversationId: id }, `m${acks.length}`).acked);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const seqs = (await Promise.all(acks)).map(({ seq }) => seq);
    expect(seqs).toEqual([...seqs].sort((x, y) => x - y));
    const { items } = await bob.messages(id, { limit: 100, minSeq: seqs.at(-1) ?? 0 });
    expect(items.map(bodyOf)).toEqual(acks.map((_ack, n) => `m${n}`));
    for (const { client } of [phone, laptop, tablet]) {
      await eventually('all messages', () => client.conversations.get(id)?.messages.length === acks.length);
    }
    // Nobody can renew a bare token for it.
    expect(await fixedStopped).toBe('tokenInvalid');
    await Promise.all([phone, laptop, tablet].map(({ client }) => client.close()));
    expect([phone, laptop, tablet].flatMap(({ errors }) => errors)).toEqual([]);
  });
});

const bodyOf = ({ content }: { content: object | null }): unknown =>
  (content as { body?: unknown } | null)?.body;

/** Numbers from [0, 1), the same ones for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

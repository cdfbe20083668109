import {
  Author,
  conversationOf,
  DeliveryWorld,
  userOf,
  type RecordingConnection,
} from '../../test/support/delivery';
import { BreakableLog, had } from '../../test/support/sync';
import type { ConversationId } from '../kernel/ids';
import { SERVER_FRAMES, type ClientFrameData } from '../protocol/frames';
import { compile } from '../protocol/validation';
import { GAP_BYTES_MAX } from './gap-reader';
import { SYNC_PAGE_BYTES_MAX } from './sync-pages';

const ONE = conversationOf(1);
const TWO = conversationOf(2);
const page = compile(SERVER_FRAMES['sync.page']);
const done = compile(SERVER_FRAMES['sync.done']);

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('SyncService', () => {
  let log: BreakableLog;
  let world: DeliveryWorld;
  let one: Author;
  let two: Author;

  beforeEach(async () => {
    log = new BreakableLog();
    world = new DeliveryWorld(log, { syncCursorsMax: 3 });
    one = new Author(world, ONE);
    two = new Author(world, TWO);
    await world.feed.start();
  });
  afterEach(() => world.stop());

  const sync = async (
    connection: RecordingConnection,
    request: ClientFrameData<'sync'> = {},
  ): ReturnType<DeliveryWorld['sync']['sync']> => {
    const refusal = await world.sync.sync(connection, request, 'frame-1');
    expect(connection.isHeld).toBe(false);
    for (const frame of connection.answers) {
      if (frame.event === 'sync.page') expect(page.errors(frame.data)).toEqual([]);
      if (frame.event === 'sync.done') expect(done.errors(frame.data)).toEqual([]);
      expect(frame.event === 'resync' || frame.id === 'frame-1').toBe(true);
    }
    return refusal;
  };

  const seqsOf = (connection: RecordingConnection, id: ConversationId): number[] =>
    connection.pages
      .filter(({ conversationId }) => conversationId === id)
      .flatMap(({ events }) => events.map(({ data }) => data.seq));

  it('gives exactly what lies after the cursor, and only conversations that moved', async () => {
    await one.start([0, 1]);
    await two.start([0, 1]);
    for (let n = 0; n < 9; n++) await one.say(0);
    await world.settle();
    const device = world.connect(userOf(1));
    await sync(device, { cursors: { [ONE]: 4, [TWO]: 0 } });
    expect(device.pages.map(({ conversationId }) => conversationId)).toEqual([ONE]);
    expect(device.pages[0]).toMatchObject({ from: 5, headSeq: 9, limited: false, summary: { id: ONE } });
    expect(seqsOf(device, ONE)).toEqual(range(5, 9));
    expect(device.answers.at(-1)).toMatchObject({
      event: 'sync.done',
      data: { epoch: await log.epoch(), position: '10/10' },
    });
  });

  it('is exact when the read models have lost what they were said to have', async () => {
    await one.start([0, 1]);
    await world.inbox.catchUp();
    await one.say(0);
    await one.say(0);
    await world.settle();
    world.inbox.mode = 'reset';
    const device = world.connect(userOf(1));
    await sync(device, { cursors: { [ONE]: 0 } });
    expect(seqsOf(device, ONE)).toEqual([1, 2]);
    expect(world.inbox.headsAsked).toBe(2);
  });

  it('asks for all heads once, whatever the number of conversations', async () => {
    for (let n = 1; n <= 30; n++) await new Author(world, conversationOf(n)).start([0, 1]);
    const device = world.connect(userOf(1));
    await sync(device);
    expect(device.pages).toHaveLength(30);
    expect(world.inbox.headsAsked).toBe(1);
  });

  it('shows a new device the `recent` conversations with the newest activity', async () => {
    for (let n = 1; n <= 5; n++) {
      await new Author(world, conversationOf(n)).start([0, 1]);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    const device = world.connect(userOf(1));
    await sync(device, { recent: 2 });
    expect(device.pages.map(({ conversationId }) => conversationId)).toEqual([5, 4].map(conversationOf));
  });

  it('gives the newest `window` events and says where they begin', async () => {
    await one.start([0, 1]);
    for (let n = 0; n < 10; n++) await one.say(0);
    const device = world.connect(userOf(1));
    await sync(device, { window: 3, cursors: { [ONE]: 2 } });
    expect(device.pages[0]).toMatchObject({ from: 8, headSeq: 10, limited: true });
    expect(seqsOf(device, ONE)).toEqual([8, 9, 10]);
    const exact = world.connect(userOf(0));
    await sync(exact, { window: 3, cursors: { [ONE]: 7 } });
    expect(exact.pages[0]).toMatchObject({ from: 8, limited: false });
  });

  it('treats a cursor beyond the head as none', async () => {
    await one.start([0, 1]);
    await one.say(0);
    const device = world.connect(userOf(1));
    await sync(device, { recent: 0, cursors: { [ONE]: 99 } });
    expect(device.pages[0]).toMatchObject({ from: 0, headSeq: 1, limited: false });
    expect(seqsOf(device, ONE)).toEqual([0, 1]);
  });

  it('gives one who was removed everything up to the removal, then `removed`', async () => {
    await one.start([0, 1]);
    await one.say(0);
    await one.remove(0, 1);
    await one.say(0);
    const device = world.connect(userOf(1));
    await sync(device, { cursors: { [ONE]: 0 } });
    expect(device.pages[0]).toMatchObject({ summary: null, headSeq: 2, removed: true });
    expect(seqsOf(device, ONE)).toEqual([1, 2]);
    const fresh = world.connect(userOf(1), 'new device');
    await sync(fresh);
    expect(fresh.pages[0]).toMatchObject({ summary: null, headSeq: 2, removed: true });
    expect(seqsOf(fresh, ONE)).toEqual([0, 1, 2]);
    await sync(fresh, { cursors: { [ONE]: 2 } });
    expect(fresh.pages[1]).toMatchObject({ events: [], headSeq: 2, removed: true });
  });

  it("answers another's conversation and one that does not exist alike", async () => {
    await one.start([0, 2]);
    const device = world.connect(userOf(1));
    await sync(device, { cursors: { [ONE]: 0, [TWO]: 0 } });
    const nothing = { summary: null, events: [], from: 0, headSeq: -1, limited: false, removed: true };
    expect(device.pages).toEqual([
      { conversationId: ONE, ...nothing },
      { conversationId: TWO, ...nothing },
    ]);
  });

  it('ignores cursors of another epoch, and says so', async () => {
    await one.start([0, 1]);
    await one.say(0);
    const device = world.connect(userOf(1));
    await sync(device, { epoch: 'another', cursors: { [ONE]: 1 } });
    expect(seqsOf(device, ONE)).toEqual([0, 1]);
    for (const frame of device.answers) expect(frame.data).toMatchObject({ epochChanged: true });
    const same = world.connect(userOf(0));
    await sync(same, { epoch: await log.epoch(), cursors: { [ONE]: 1 } });
    expect(same.pages).toEqual([]);
    expect(same.answers[0]?.data).not.toHaveProperty('epochChanged');
  });

  it('refuses too many cursors and names that are no ids, and changes nothing', async () => {
    const device = world.connect(userOf(1));
    const hold = jest.spyOn(device, 'hold');
    const cursors = Object.fromEntries([1, 2, 3].map((n) => [conversationOf(n), 0]));
    expect(await sync(device, { cursors })).toBeUndefined();
    hold.mockClear();
    expect(await sync(device, { cursors: { ...cursors, [conversationOf(4)]: 0 } })).toMatchObject({
      code: 'invalid_input',
      errors: [{ field: 'cursors' }],
    });
    const strange = JSON.parse('{"__proto__": 0}') as Record<string, number>;
    expect(await sync(device, { cursors: strange })).toMatchObject({
      code: 'invalid_input',
      errors: [{ field: 'cursors.__proto__' }],
    });
    expect(hold).not.toHaveBeenCalled();
  });

  it('keeps pages within their bytes, cutting only a conversation that is larger than a page', async () => {
    const large = 'x'.repeat(15_000);
    await one.start([0, 1]);
    await two.start([0, 1]);
    for (let n = 0; n < 40; n++) await one.say(0, large);
    await two.say(0, large);
    const device = world.connect(userOf(1));
    await sync(device, { cursors: { [ONE]: 0, [TWO]: 0 } });
    const frames = device.answers.filter(({ event }) => event === 'sync.page');
    expect(frames.length).toBeGreaterThan(2);
    for (const frame of frames) {
      expect(Buffer.byteLength(JSON.stringify(frame))).toBeLessThan(SYNC_PAGE_BYTES_MAX + 1_000);
    }
    expect(seqsOf(device, ONE)).toEqual(range(1, 40));
    const parts = device.pages.filter(({ conversationId }) => conversationId === ONE);
    for (const part of parts) {
      expect(part.from).toBe(part.events[0]?.data.seq);
      expect(part.headSeq).toBe(part.events.at(-1)?.data.seq);
    }
    expect(parts.at(-1)?.headSeq).toBe(40);
  });

  it('bounds the bytes of one conversation, and says that there is more', async () => {
    const large = 'x'.repeat(15_000);
    await one.start([0, 1]);
    for (let n = 0; n < 100; n++) await one.say(0, large);
    const device = world.connect(userOf(1));
    await sync(device, { window: 1_000 });
    const seqs = seqsOf(device, ONE);
    expect(device.pages[0]).toMatchObject({ limited: true, from: seqs[0] });
    expect(device.pages.slice(1).some(({ limited }) => limited)).toBe(false);
    expect(seqs).toEqual(range(seqs[0] ?? 0, 100));
    expect(seqs.length * 15_000).toBeLessThan(GAP_BYTES_MAX);
  });

  it('leaves the receipts of others in a large group out, without counting them', async () => {
    await one.start(range(0, 39));
    await one.say(0);
    for (let n = 1; n <= 10; n++) await one.read(n, 1);
    await one.say(0);
    const device = world.connect(userOf(3));
    await sync(device, { window: 4 });
    expect(seqsOf(device, ONE)).toEqual([0, 1, 4, 12]);
    expect(device.pages[0]).toMatchObject({ limited: false, from: 0 });
  });

  it('says that what was truncated away is missing', async () => {
    await one.start([0, 1]);
    for (let n = 0; n < 9; n++) await one.say(0);
    await log.setMaxCount(`conversation-${ONE}`, 4);
    const device = world.connect(userOf(1));
    await sync(device, { cursors: { [ONE]: 2 } });
    expect(device.pages[0]).toMatchObject({ limited: true, from: 6 });
    expect(seqsOf(device, ONE)).toEqual([6, 7, 8, 9]);
  });

  it('refuses as unavailable when the log cannot be read, and lets the pushes go on', async () => {
    await one.start([0, 1]);
    await world.settle();
    const device = world.connect(userOf(1));
    log.isBroken = true;
    expect(await sync(device)).toMatchObject({ code: 'unavailable', retryable: true });
    log.isBroken = false;
    await one.say(0);
    await world.settle();
    expect(device.seqsOf(ONE)).toEqual([1]);
  });

  it('refuses while the node has not reached the log: it could not tell what it has missed', async () => {
    const node = new DeliveryWorld(log);
    const device = node.connect(userOf(1));
    expect(await node.sync.sync(device, {}, undefined)).toMatchObject({ code: 'unavailable' });
    expect(device.isHeld).toBe(false);
  });

  it('stops when the device has gone', async () => {
    await one.start([0, 1]);
    const device = world.connect(userOf(1));
    world.hub.unregister(device);
    expect(await sync(device)).toBeUndefined();
    expect(device.answers).toEqual([]);
  });

  it('answers first and pushes what came meanwhile afterwards, once', async () => {
    await one.start([0, 1]);
    await world.settle();
    const device = world.connect(userOf(1));
    device.beforeAnswer = async () => {
      device.beforeAnswer = () => Promise.resolve();
      await one.say(0);
      await world.settle();
    };
    await sync(device, { cursors: {} });
    const seqs = device.received.map((frame) => ('seq' in frame.data ? frame.data.seq : frame.event));
    expect(seqs).toEqual(['sync.page', 'sync.done', 1]);
  });

  describe('while the read models are away', () => {
    it.each(['stuck', 'down'] as const)('answers every cursor from the log (%s)', async (mode) => {
      await one.start([0, 1]);
      await world.inbox.catchUp();
      world.inbox.mode = mode;
      for (let n = 0; n < 5; n++) await one.say(0);
      const device = world.connect(userOf(1));
      await sync(device, { cursors: { [ONE]: 1, [TWO]: 0 } });
      expect(device.pages).toMatchObject([
        { conversationId: ONE, from: 2, headSeq: 5, limited: false, summary: null },
        { conversationId: TWO, headSeq: -1, removed: true },
      ]);
      expect(seqsOf(device, ONE)).toEqual([2, 3, 4, 5]);
    });

    it('does not rely on a writer that has not heard of its own append', async () => {
      await one.start([0, 1]);
      world.inbox.mode = 'down';
      let acknowledge = (): void => undefined;
      log.afterAppend = () => new Promise((resolve) => (acknowledge = resolve));
      const saying = one.say(0);
      while (world.feed.handled.commit < 1n) await new Promise((resolve) => setImmediate(resolve));
      const device = world.connect(userOf(1));
      await sync(device, { cursors: { [ONE]: 0 } });
      acknowledge();
      await saying;
      await world.settle();
      expect(had(device, ONE)).toEqual([1]);
    });

    it('tells afterwards of conversations it could not know', async () => {
      world.inbox.mode = 'down';
      await one.start([0, 1]);
      const device = world.connect(userOf(1));
      await sync(device, {});
      expect(device.pages).toEqual([]);
      world.inbox.mode = 'live';
      for (let n = 0; n < 500 && world.debts.size > 0; n++) await new Promise((go) => setTimeout(go, 20));
      expect(device.answers.at(-1)).toEqual({ event: 'resync', data: { conversationIds: [ONE] } });
    });

    it('says which conversations it was about, and is about those that the device was told to ask for', async () => {
      world.inbox.mode = 'down';
      await one.start([0, 1]);
      await two.start([0, 1]);
      const device = world.connect(userOf(1));
      await sync(device, { cursors: { [ONE]: 0 } });
      const about = (id: typeof ONE) => typeof device.answered === 'function' && device.answered(id);
      expect([about(ONE), about(TWO)]).toEqual([true, false]);
      device.owed = [TWO];
      await sync(device, { cursors: { [ONE]: 0 } });
      expect(device.pages).toMatchObject([{ conversationId: TWO, from: 0, headSeq: 0, summary: null }]);
      expect(about(TWO)).toBe(true);
      world.inbox.mode = 'live';
      // A store that failed is not asked again for a second.
      for (let n = 0; n < 500 && device.answered !== 'all'; n++) {
        await new Promise((go) => setTimeout(go, 20));
        await sync(device, {});
      }
      expect(device.answered).toBe('all');
    });

    it('tells afterwards whose summaries it could not give, and gives them although nothing moved', async () => {
      await one.start([0, 1]);
      await two.start([0, 1]);
      await world.inbox.catchUp();
      world.inbox.mode = 'down';
      await one.say(0);
      const device = world.connect(userOf(1));
      await sync(device, { cursors: { [ONE]: 0, [TWO]: 0 } });
      expect(device.pages).toMatchObject([{ conversationId: ONE, headSeq: 1, summary: null }]);
      // Asked again before it can be told: still owed.
      await sync(device, { cursors: { [ONE]: 1, [TWO]: 0 } });
      expect(device.pages).toHaveLength(1);
      world.inbox.mode = 'live';
      for (let n = 0; n < 500 && world.debts.size > 0; n++) await new Promise((go) => setTimeout(go, 20));
      expect(device.answers.at(-1)).toEqual({ event: 'resync', data: { conversationIds: [ONE] } });
      await sync(device, { cursors: { [ONE]: 1, [TWO]: 0 } });
      expect(device.pages.slice(1)).toMatchObject([
        { conversationId: ONE, events: [], headSeq: 1, summary: { headSeq: 1 } },
      ]);
      await sync(device, { cursors: { [ONE]: 1, [TWO]: 0 } });
      expect(device.pages).toHaveLength(2);
    });
  });
});

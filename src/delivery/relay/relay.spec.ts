import {
  Author,
  conversationOf,
  DeliveryWorld,
  userOf,
  type RecordingConnection,
} from '../../../test/support/delivery';
import type { RelayBus } from '../../application/ports/relay-bus';
import { MemoryEventLog } from '../../infrastructure/memory/memory-event-log';
import { MemoryRelayBus, MemoryRelayLine } from '../../infrastructure/memory/memory-relay-bus';
import { Metrics } from '../../observability/metrics';
import { FOCUS_MEMBERS_MAX } from '../plan';
import { ReceiptAggregator } from '../receipts';
import { asSeq, type ConversationId } from '../../kernel/ids';
import { writeBatch } from './batch';
import type { RelayIntake } from './intake';
import { relayShard } from './relay-shard';

const ONE = conversationOf(1);
const TWO = conversationOf(2);

const eventually = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (const deadline = Date.now() + 60_000; !(await holds());) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

/** A bus on which messages to nodes get lost. */
class LossyBus extends MemoryRelayBus {
  lose: (payload: Buffer) => boolean = () => false;
  sent = 0;

  override send(node: string, payload: Buffer): Promise<void> {
    this.sent++;
    return this.lose(payload) ? Promise.resolve() : super.send(node, payload);
  }
}

describe('a relay and two nodes', () => {
  let log: MemoryEventLog;
  let line: MemoryRelayLine;
  let nodes: DeliveryWorld[];
  let intakes: RelayIntake[];
  let metrics: Metrics;
  let relays: { readonly stop: AbortController; readonly over: Promise<void> }[];
  let author: Author;

  const startRelay = (
    term: number,
    bus: RelayBus = new MemoryRelayBus(`relay ${term}`, line),
    above = 1,
  ): void => {
    const stop = new AbortController();
    const options = { eventLog: log, shard: 0, term, above, bus, metrics, signal: stop.signal };
    relays.push({ stop, over: relayShard(options) });
  };
  const stopRelay = async (): Promise<void> => {
    const relay = relays.shift();
    relay?.stop.abort();
    await relay?.over;
  };
  /** Something happens until the relay finds that it is enough. */
  const untilRelayed = async (): Promise<void> => {
    for (const node of nodes) {
      await eventually('a relay', async () => {
        await author.say(0);
        return (await sourceOf(node)) === 'relay';
      });
    }
  };
  const sourceOf = async (node: DeliveryWorld): Promise<unknown> =>
    (await node.metrics.feedShards.get()).values.find(({ value }) => value === 1)?.labels.source;
  const endingsOf = async (node: DeliveryWorld): Promise<unknown[]> =>
    (await node.metrics.relayEndings.get()).values.map(({ labels }) => labels.why);
  const settle = async (): Promise<void> => {
    for (const node of nodes) await node.settle();
  };
  const seqs = async (id: ConversationId): Promise<number[]> =>
    (await (nodes[0] as DeliveryWorld).recorded(id)).map(({ seq }) => seq);

  beforeEach(async () => {
    log = new MemoryEventLog();
    line = new MemoryRelayLine();
    metrics = new Metrics();
    relays = [];
    nodes = [new DeliveryWorld(log), new DeliveryWorld(log)];
    author = new Author(nodes[0] as DeliveryWorld, ONE);
    await Promise.all(nodes.map((node) => node.feed.start()));
    await author.start([0, 1]);
    await settle();
    intakes = nodes.map((node, n) => node.listen(new MemoryRelayBus(`node ${n}`, line)));
  });
  afterEach(async () => {
    while (relays.length > 0) await stopRelay();
    for (const intake of intakes) intake.stop();
    for (const node of nodes) await node.stop();
  });
  const ann = (): RecordingConnection => (nodes[0] as DeliveryWorld).connect(userOf(0));
  const ben = (): RecordingConnection => (nodes[1] as DeliveryWorld).connect(userOf(1));

  it('follow the log by themselves below the rate', async () => {
    startRelay(1, new MemoryRelayBus('relay', line), 1_000_000);
    const hers = ben();
    for (let n = 0; n < 20; n++) await author.say(0);
    await settle();
    expect(hers.seqsOf(ONE)).toHaveLength(20);
    for (const node of nodes) expect(await sourceOf(node)).toBe('log');
  });

  it('tell everybody the same as before, and stop to read the log', async () => {
    const [hers, his] = [ann(), ben()];
    startRelay(1);
    await untilRelayed();
    const subscribe = jest.spyOn(log, 'subscribe');
    const other = new Author(nodes[0] as DeliveryWorld, TWO);
    await other.start([0, 1, 2]);
    await other.add(0, 3);
    await other.say(3);
    await other.remove(0, 1);
    await other.say(0);
    await author.read(1, 1);
    await settle();
    expect(hers.seqsOf(ONE)).toEqual((await seqs(ONE)).slice(1));
    expect(hers.seqsOf(TWO)).toEqual(await seqs(TWO));
    // Removed at 3: that is the last he hears.
    expect(his.seqsOf(TWO)).toEqual([0, 1, 2, 3]);
    expect(his.events).toEqual(
      hers.events.filter(({ data }) => data.conversationId === ONE || data.seq <= 3),
    );
    // On a machine that stood still for two seconds they had to, and were told the same.
    const endings = (await Promise.all(nodes.map(endingsOf))).flat();
    expect(subscribe.mock.calls.length > 0).toBe(endings.length > 0);
  });

  it('know what other nodes append, though they do not read it', async () => {
    ann();
    startRelay(1);
    await untilRelayed();
    const [here, there] = nodes as [DeliveryWorld, DeliveryWorld];
    const before = await there.executor.state(ONE);
    await author.add(0, 5);
    await settle();
    expect(here.executor.knownState(ONE)?.members.has(userOf(5))).toBe(true);
    expect(before?.members.has(userOf(5))).toBe(false);
    expect((await there.executor.state(ONE))?.members.has(userOf(5))).toBe(true);
  });

  it('heal what got lost between relay and node from the log', async () => {
    const his = ben();
    const bus = new LossyBus('relay', line);
    startRelay(1, bus);
    await untilRelayed();
    let n = 0;
    bus.lose = () => n++ % 3 === 0;
    for (let round = 0; round < 30; round++) {
      await author.say(0);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    bus.lose = () => false;
    await settle();
    expect(his.seqsOf(ONE)).toEqual((await seqs(ONE)).slice(1));
    expect(await endingsOf(nodes[1] as DeliveryWorld)).toContain('hole');
    await untilRelayed();
  });

  it('note the position of a sync when the relay knows of its device', async () => {
    ann();
    startRelay(1);
    await untilRelayed();
    const node = nodes[1] as DeliveryWorld;
    for (let round = 0; round < 20; round++) {
      const his = node.connect(userOf(1), `device ${round}`);
      const said = author.say(0);
      const head = (await node.recorded(ONE)).length - 1;
      await node.sync.sync(his, { cursors: { [ONE]: head }, epoch: await log.epoch() }, undefined);
      await said;
      await author.say(0);
      await settle();
      const synced = his.pages.flatMap(({ events }) => events.map(({ data }) => data.seq));
      const got = [...new Set([...synced, ...his.seqsOf(ONE)])].filter((seq) => seq > head);
      expect(got).toEqual((await seqs(ONE)).filter((seq) => seq > head));
      node.hub.unregister(his);
    }
  });

  it('go on by themselves when the relay that knows them does not hear of a device', async () => {
    ann();
    startRelay(1);
    await untilRelayed();
    line.relays.clear();
    const node = nodes[1] as DeliveryWorld;
    const his = node.connect(userOf(1));
    await node.sync.sync(his, { cursors: {}, epoch: await log.epoch() }, undefined);
    expect(await endingsOf(node)).not.toEqual([]);
    await author.say(0);
    await settle();
    expect(his.seqsOf(ONE)).toEqual([(await seqs(ONE)).length - 1]);
  });

  it('go over to the next relay, and do not listen to the one before when it wakes up', async () => {
    const his = ben();
    startRelay(1);
    await untilRelayed();
    // It does not know that it has been replaced.
    startRelay(2);
    for (let n = 0; n < 20; n++) {
      await author.say(0);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    await eventually('the next relay', async () =>
      (await endingsOf(nodes[1] as DeliveryWorld)).includes('term'),
    );
    await untilRelayed();
    await stopRelay();
    await settle();
    expect(his.seqsOf(ONE)).toEqual((await seqs(ONE)).slice(1));
  });

  it('follow the log at once when the relay ends, and after a while when it only falls silent', async () => {
    const his = ben();
    const bus = new LossyBus('relay', line);
    startRelay(1, bus);
    await untilRelayed();
    await stopRelay();
    await eventually('the end', async () => (await endingsOf(nodes[1] as DeliveryWorld)).includes('ended'));
    startRelay(2, bus);
    await untilRelayed();
    bus.lose = () => true;
    await author.say(0);
    await settle();
    expect(await endingsOf(nodes[1] as DeliveryWorld)).toContain('silent');
    expect(his.seqsOf(ONE)).toEqual((await seqs(ONE)).slice(1));
  });

  it('take nonsense for nothing', async () => {
    ann();
    startRelay(1);
    await untilRelayed();
    const bus = new MemoryRelayBus('stranger', line);
    const link = { shard: 0, term: 9, chain: 1, n: 1, version: 99 };
    const place = { commit: 5n, prepare: 5n };
    const batch = writeBatch(
      { ...link, before: place, taken: place, done: place, moved: Buffer.alloc(0) },
      [],
    );
    for (const nonsense of [
      Buffer.alloc(0),
      Buffer.from('{'),
      Buffer.from('{}'),
      batch.subarray(0, -3),
      Buffer.from([0, 0, 0, 2, 65]),
    ]) {
      await bus.send('node 0', nonsense);
      bus.tell(0, nonsense);
    }
    bus.tell(0, Buffer.from('{"kind":"whole","node":"x","version":1,"part":0,"parts":1,"users":[1]}'));
    await author.say(0);
    await settle();
    await untilRelayed();
  });

  it('tell very large groups by focus and hints, and authors in sums', async () => {
    const members = Array.from({ length: FOCUS_MEMBERS_MAX + 1 }, (_, n) => n);
    const [hers, his] = [ann(), ben()];
    startRelay(1);
    await untilRelayed();
    const other = new Author(nodes[0] as DeliveryWorld, TWO);
    await other.start(members);
    hers.focused = TWO;
    for (let n = 0; n < 3; n++) await other.say(0);
    await settle();
    expect(hers.seqsOf(TWO)).toEqual([0, 1, 2, 3]);
    expect(his.seqsOf(TWO)).toEqual([]);
    await eventually('a hint', () =>
      his.hints.some(
        ({ event, data }) => event === 'conversation.activity' && 'headSeq' in data && data.headSeq === 3,
      ),
    );
    const receipts = new ReceiptAggregator(nodes[1]?.executor as never, nodes[1]?.clock as never, metrics);
    await receipts.read(userOf(1), TWO, asSeq(3));
    await receipts.flush();
    await settle();
    await eventually('a sum', () => hers.hints.some(({ event }) => event === 'receipt.summary'));
    receipts.stop();
  });
});

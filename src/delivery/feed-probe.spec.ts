import { Author, conversationOf, DeliveryWorld, userOf } from '../../test/support/delivery';
import type { SubscribeOptions, SubscriptionItem } from '../application/ports/event-log';
import { ShardedEventLog } from '../infrastructure/event-log/sharded/sharded-event-log';
import { shardOfStream } from '../infrastructure/event-log/sharded/placement';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { FEED_PROBE_MS, FeedProbe, PROBE_EVENTS_MAX } from './feed-probe';

const ONE = conversationOf(1);
const TWO = conversationOf(2);

/** A log whose subscriptions leave events out, and stop saying anything without ending. */
class FailingLog extends MemoryEventLog {
  /** `stream@revision` of events that no subscription tells of. */
  readonly lost = new Set<string>();
  /** Subscriptions so far; those up to and including this one say nothing any more. */
  subscriptions = 0;
  silentUpTo = 0;

  override subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    return this.failing(super.subscribe(options), ++this.subscriptions, options.signal);
  }

  private async *failing(
    items: AsyncIterable<SubscriptionItem>,
    nth: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<SubscriptionItem> {
    for await (const item of items) {
      if (nth <= this.silentUpTo) {
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        return;
      }
      if (item.kind === 'event' && this.lost.has(`${item.event.stream}@${item.event.revision}`)) continue;
      yield item;
    }
  }
}

describe('the probe of the feed', () => {
  let log: FailingLog;
  let world: DeliveryWorld;
  let probe: FeedProbe;
  let one: Author;
  let two: Author;

  beforeEach(async () => {
    log = new FailingLog();
    world = new DeliveryWorld(log);
    probe = new FeedProbe(log, world.feed, world.metrics);
    one = new Author(world, ONE);
    two = new Author(world, TWO);
    await world.feed.start();
  });
  afterEach(async () => {
    await probe.onApplicationShutdown();
    await world.stop();
  });

  const repairs = async (): Promise<string | undefined> =>
    /^parley_feed_repairs_total (\d+)$/m.exec((await world.metrics.expose()).text)?.[1];
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('hands out the last event of a conversation that never came, while others go on', async () => {
    const ann = world.connect(userOf(0));
    log.lost.add(`conversation-${ONE}@2`);
    await one.start([0, 1]);
    await one.say(1);
    await one.say(1);
    await two.start([0, 1]);
    await world.settle();
    expect(ann.seqsOf(ONE)).toEqual([0, 1]);
    await probe.probe();
    await until(() => ann.seqsOf(ONE).length === 3);
    expect(ann.seqsOf(ONE)).toEqual([0, 1, 2]);
    expect(ann.seqsOf(TWO)).toEqual([0]);
    expect(await repairs()).toBe('1');
    // What was handed out is not handed out again, and what follows comes in order.
    await probe.probe();
    await one.say(1);
    await world.settle();
    expect(ann.seqsOf(ONE)).toEqual([0, 1, 2, 3]);
    expect(await repairs()).toBe('1');
  });

  it('hands out the very last event of the log by the second probe', async () => {
    const ann = world.connect(userOf(0));
    await one.start([0, 1]);
    await world.settle();
    log.lost.add(`conversation-${ONE}@1`);
    await one.say(1);
    // It may be on its way still.
    await probe.probe();
    expect(ann.seqsOf(ONE)).toEqual([0]);
    await probe.probe();
    await until(() => ann.seqsOf(ONE).length === 2);
    expect(ann.seqsOf(ONE)).toEqual([0, 1]);
    expect(world.feed.position).toEqual(
      (await log.readAll({ direction: 'backwards', limit: 1 })).events[0]?.position,
    );
  });

  it('takes a subscription up again that has gone silent, without loss or repetition', async () => {
    const ann = world.connect(userOf(0));
    await one.start([0, 1]);
    await world.settle();
    log.silentUpTo = log.subscriptions;
    for (let n = 0; n < 3; n++) await one.say(1);
    await probe.probe();
    expect(log.subscriptions).toBe(1);
    await probe.probe();
    await until(() => log.subscriptions === 2);
    await one.say(1);
    await world.settle();
    await until(() => ann.seqsOf(ONE).length === 5);
    expect(ann.seqsOf(ONE)).toEqual([0, 1, 2, 3, 4]);
    await probe.probe();
    await probe.probe();
    expect(log.subscriptions).toBe(2);
  });

  it('leaves a subscription alone on a quiet night, and nobody a repetition', async () => {
    const ann = world.connect(userOf(0));
    await one.start([0, 1]);
    for (let n = 0; n < 5; n++) {
      await world.settle();
      await probe.probe();
    }
    expect(log.subscriptions).toBe(1);
    expect(ann.seqsOf(ONE)).toEqual([0]);
    expect(await repairs()).toBe('0');
  });

  it('takes up again the one shard that has gone silent, while another one goes on', async () => {
    const shards = [new FailingLog(), new FailingLog()] as const;
    const sharded = new ShardedEventLog(shards, { epoch: () => Promise.resolve('both') });
    const both = new DeliveryWorld(sharded);
    const shardOf = (n: number): number => shardOfStream(`conversation-${conversationOf(n)}`, 2);
    const of = (shard: number): number => [1, 2, 3, 4, 5, 6, 7, 8].find((n) => shardOf(n) === shard) ?? 0;
    const [here, there] = [conversationOf(of(0)), conversationOf(of(1))];
    const [loud, silent] = [new Author(both, here), new Author(both, there)];
    const probing = new FeedProbe(sharded, both.feed, both.metrics);
    await both.feed.start();
    const ann = both.connect(userOf(0));
    await loud.start([0, 1]);
    await silent.start([0, 1]);
    await both.settle();
    shards[1].silentUpTo = shards[1].subscriptions;
    for (let round = 0; round < 3; round++) {
      await silent.say(1);
      await loud.say(1);
      await until(() => ann.seqsOf(here).length === 2 + round);
      await probing.probe();
    }
    await until(() => shards[1].subscriptions === 2);
    await silent.say(1);
    await until(() => ann.seqsOf(there).length === 5);
    expect([ann.seqsOf(here), ann.seqsOf(there)]).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3, 4],
    ]);
    await probing.onApplicationShutdown();
    await both.stop();
  });

  it('looks at PROBE_EVENTS_MAX events and a page at most, and goes on from there: nothing is passed over', async () => {
    const ann = world.connect(userOf(0));
    log.lost.add(`conversation-${ONE}@1`);
    await one.start([0, 1]);
    await one.say(1);
    await two.start([0, 1]);
    await world.settle();
    // Pages of one event each: as many reads as PROBE_EVENTS_MAX allows do not come as far as the hole.
    let inPage = 0;
    const readAll = log.readAll.bind(log);
    const spy = jest.spyOn(log, 'readAll').mockImplementation(async (options) => {
      if (options.direction === 'backwards') return readAll(options);
      inPage = options.limit;
      const { next } = await readAll({ ...options, limit: 1 });
      const isFirst = options.after === undefined;
      return { events: [], next: isFirst ? next : (options.after ?? next), endOfLog: false };
    });
    expect(await probe.probe()).toBe(true);
    const looked = spy.mock.calls.filter(([{ direction }]) => direction === 'forwards').length * inPage;
    expect(looked).toBeGreaterThanOrEqual(PROBE_EVENTS_MAX);
    expect(looked).toBeLessThan(PROBE_EVENTS_MAX + inPage);
    expect(ann.seqsOf(ONE)).toEqual([0]);
    spy.mockRestore();
    expect(await probe.probe()).toBe(false);
    await until(() => ann.seqsOf(ONE).length === 2);
  });

  it('probes by itself, and goes on when the log cannot be read', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    const readAll = jest.spyOn(log, 'readAll').mockRejectedValueOnce(new Error('broken'));
    probe.start();
    await jest.advanceTimersByTimeAsync(FEED_PROBE_MS - 1);
    expect(readAll).not.toHaveBeenCalled();
    await jest.advanceTimersByTimeAsync(1);
    expect(readAll).toHaveBeenCalledTimes(1);
    await jest.advanceTimersByTimeAsync(FEED_PROBE_MS);
    expect(readAll).toHaveBeenCalledTimes(2);
    jest.useRealTimers();
  });
});

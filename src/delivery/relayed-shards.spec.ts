import { Author, conversationOf, DeliveryWorld, userOf } from '../../test/support/delivery';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { ShardedEventLog } from '../infrastructure/event-log/sharded/sharded-event-log';
import { shardOfStream } from '../infrastructure/event-log/sharded/placement';
import { conversationStream } from '../domain/conversation/streams';
import { fromPlaces, placeIn, POSITION_START, type Position } from '../kernel/position';
import { FeedProbe } from './feed-probe';
import { RelayedShards } from './relayed-shards';

const at = (place: number): Position => ({ commit: BigInt(place), prepare: BigInt(place) });

describe('a shard left to a relay', () => {
  const conversationIn = (shard: number): number =>
    Array.from({ length: 100 }, (_, n) => n).find(
      (n) => shardOfStream(conversationStream(conversationOf(n)), 2) === shard,
    ) ?? -1;

  it('is not followed by the node, which goes on with the others, until it is taken back', async () => {
    const log = new ShardedEventLog([new MemoryEventLog(), new MemoryEventLog()], {
      epoch: () => Promise.resolve('e'),
    });
    const world = new DeliveryWorld(log);
    const [zero, one] = [0, 1].map((shard) => new Author(world, conversationOf(conversationIn(shard))));
    if (zero === undefined || one === undefined) throw new Error('no conversations');
    await world.feed.start();
    const ann = world.connect(userOf(0));
    await zero.start([0, 1]);
    await one.start([0, 1]);
    await world.settle();
    const place = await world.feed.leave(1);
    expect(place).toEqual(placeIn(await log.head(), 1));
    await one.say(0);
    await zero.say(0);
    await world.feed.waitFor(fromPlaces([placeIn(await log.head(), 0)]));
    expect(ann.seqsOf(zero.id)).toEqual([0, 1]);
    expect(ann.seqsOf(one.id)).toEqual([0]);
    world.feed.follow(1);
    await world.feed.waitFor(await log.head());
    expect(ann.seqsOf(one.id)).toEqual([0, 1]);
    await world.stop();
  });

  it('is taken back from where the relay had handed out everything', async () => {
    const log = new MemoryEventLog();
    const world = new DeliveryWorld(log);
    const author = new Author(world, conversationOf(1));
    await world.feed.start();
    const ann = world.connect(userOf(0));
    await author.start([0, 1]);
    await world.settle();
    await world.feed.leave(0);
    expect(world.feed.status().subscribed).toBe(true);
    for (let n = 0; n < 3; n++) await author.say(0);
    world.feed.bringTo(0, { done: at(2), taken: at(3), events: 3 });
    expect(world.feed.position).toEqual(at(3));
    expect(world.feed.handled).toEqual(at(2));
    expect(world.feed.trail.behind(at(0))).toBe(3);
    world.feed.follow(0);
    await world.settle();
    // What the relay said it had handed out is not read again; the audience that was folded before is read anew.
    expect(ann.seqsOf(author.id)).toEqual([0, 3]);
    await world.stop();
  });

  it('is not left when it is taken back before all that was taken of it has been handed out', async () => {
    const log = new MemoryEventLog();
    const world = new DeliveryWorld(log);
    const author = new Author(world, conversationOf(1));
    await world.feed.start();
    const ann = world.connect(userOf(0));
    await author.start([0, 1]);
    await world.settle();
    world.audiences.forget(author.id);
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const load = world.audiences.load.bind(world.audiences);
    jest.spyOn(world.audiences, 'load').mockImplementation(async (...args) => {
      await gate;
      return load(...args);
    });
    await author.say(0);
    while (world.lanes.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    const leaving = world.feed.leave(0);
    world.feed.follow(0);
    open();
    expect(await leaving).toBeUndefined();
    await author.say(0);
    await world.settle();
    expect(ann.seqsOf(author.id)).toEqual([0, 1, 2]);
    await world.stop();
  });

  it('is not looked after by the probe, but for what the node had taken itself', async () => {
    const log = new MemoryEventLog();
    const world = new DeliveryWorld(log);
    const author = new Author(world, conversationOf(1));
    const probe = new FeedProbe(log, world.feed, world.metrics);
    await world.feed.start();
    await author.start([0, 1]);
    await world.settle();
    const repair = jest.spyOn(world.feed, 'repair');
    const readAll = jest.spyOn(log, 'readAll');
    const forwards = () => readAll.mock.calls.filter(([{ direction }]) => direction === 'forwards');
    await world.feed.leave(0);
    await author.say(0);
    await author.say(0);
    world.feed.bringTo(0, { done: at(2), taken: at(2), events: 2 });
    for (let n = 0; n < 3; n++) await probe.probe();
    expect(forwards()).toHaveLength(1);
    expect(repair).not.toHaveBeenCalled();
    world.feed.follow(0);
    await author.say(0);
    await world.settle();
    for (let n = 0; n < 3; n++) await probe.probe();
    expect(repair).not.toHaveBeenCalled();
    expect(forwards().length).toBeGreaterThan(1);
    await world.stop();
  });

  it('remembers what was brought until whoever looks after the rest has come to its beginning', () => {
    const shards = new RelayedShards(1);
    expect(shards.begin(0, shards.leave(0), at(5))).toBe(true);
    shards.bringTo(0, at(9));
    expect([4, 5, 6, 9, 10].map((place) => shards.hasBrought(at(place)))).toEqual([
      false,
      false,
      true,
      true,
      false,
    ]);
    expect(shards.past(at(4))).toEqual(at(4));
    expect(shards.ownAfter(at(4))).toEqual(new Set([0]));
    expect(shards.ownAfter(at(5))).toEqual(new Set());
    shards.follow(0);
    shards.begin(0, shards.leave(0), at(12));
    shards.bringTo(0, at(15));
    expect(shards.hasBrought(at(7))).toBe(true);
    expect(shards.past(at(5))).toEqual(at(15));
    shards.follow(0);
    expect(shards.past(at(15))).toEqual(at(15));
    expect(shards.hasBrought(at(14))).toBe(false);
    expect(shards.past(POSITION_START)).toEqual(POSITION_START);
  });
});

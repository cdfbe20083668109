import { eventLogContract } from '../../../../test/contracts/event-log.contract';
import {
  caughtUp,
  collect,
  freshStream,
  idsOf,
  newEvents,
} from '../../../../test/contracts/event-log/fixture';
import { CutLog } from '../../../../test/support/cut-log';
import {
  EventLogUnavailable,
  ShardAway,
  type LogEvent,
  type SubscribeOptions,
  type SubscriptionItem,
} from '../../../application/ports/event-log';
import { fromPlaces, furthest, hasPassed, placeIn, POSITION_START, shardOf } from '../../../kernel/position';
import { MemoryEventLog } from '../../memory/memory-event-log';
import { SHARD_ITEMS_MAX } from './merged-subscription';
import { shardOfStream } from './placement';
import { ShardedEventLog } from './sharded-event-log';

const epoch = (): Promise<string> => Promise.resolve('all of them');

eventLogContract('two shards in memory', () => {
  const shards = [new MemoryEventLog(), new MemoryEventLog()];
  return Promise.resolve({
    log: new ShardedEventLog(shards, { epoch }),
    close: () => {
      for (const shard of shards) shard.close();
      return Promise.resolve();
    },
  });
});

/** A stream that is placed in this one of so many shards. */
function streamIn(shard: number, shards: number): string {
  for (;;) {
    const stream = freshStream();
    if (shardOfStream(stream, shards) === shard) return stream;
  }
}

describe('a log in three shards', () => {
  let memory: MemoryEventLog[];
  let shards: CutLog[];
  let log: ShardedEventLog;
  let away: number[];
  let ending: AbortController;

  beforeEach(() => {
    memory = [new MemoryEventLog(), new MemoryEventLog(), new MemoryEventLog()];
    shards = memory.map((one) => new CutLog(one));
    away = [];
    ending = new AbortController();
    log = new ShardedEventLog(shards, { epoch, onAway: (shard) => away.push(shard) });
  });
  afterEach(() => {
    ending.abort();
  });

  const append = (stream: string, count = 1) => log.append(stream, newEvents(count), { expected: 'any' });
  const follow = (after: SubscribeOptions['after'] = 'start') =>
    log.subscribe({ after, signal: ending.signal });

  it('keeps a stream in the one it is placed in, and nowhere else', async () => {
    for (let shard = 0; shard < 3; shard++) {
      const stream = streamIn(shard, 3);
      const result = await append(stream, 2);
      expect(result.kind === 'appended' && shardOf(result.position)).toBe(shard);
      const found = await Promise.all(memory.map((one) => one.readStream(stream, { limit: 9 })));
      expect(found.map(({ kind }) => kind === 'events')).toEqual([0, 1, 2].map((n) => n === shard));
      const read = await log.readStream(stream, { limit: 9 });
      expect(read.kind === 'events' && read.events.map(({ position }) => shardOf(position))).toEqual([
        shard,
        shard,
      ]);
      await log.setMaxCount(stream, 1);
      expect(await log.readStream(stream, { limit: 9 })).toMatchObject({ truncatedBefore: 1n });
    }
  });

  it('refuses what is placed in a shard that is away, as retryable, and nothing else', async () => {
    shards[1]?.cut();
    await expect(append(streamIn(1, 3))).rejects.toThrow(EventLogUnavailable);
    expect(await append(streamIn(0, 3))).toMatchObject({ kind: 'appended' });
    expect(await append(streamIn(2, 3))).toMatchObject({ kind: 'appended' });
  });

  it('follows the others while one is away, and goes on with that one where it was', async () => {
    const [here, there] = [streamIn(0, 3), streamIn(1, 3)];
    const seen: LogEvent[] = [];
    let reached = POSITION_START;
    const until = async (count: number, items: AsyncIterator<SubscriptionItem>): Promise<void> => {
      while (seen.length < count) {
        const next = await items.next();
        if (next.done === true) throw new Error('the subscription ended');
        const item = next.value;
        if (item.kind === 'event') seen.push(item.event);
        else expect(hasPassed(item.position, reached)).toBe(true);
        reached = furthest(item.kind === 'event' ? item.event.position : item.position, reached);
      }
    };
    const items = follow()[Symbol.asyncIterator]();
    await append(here, 3);
    await append(there, 3);
    await until(6, items);
    shards[1]?.cut();
    await append(here, 3);
    await until(9, items);
    await memory[1]?.append(there, newEvents(4), { expected: 'any' });
    await append(here, 1);
    await until(10, items);
    shards[1]?.mend();
    await until(14, items);
    expect(away).toContain(1);
    expect(new Set(away)).toEqual(new Set([1]));
    expect(new Set(idsOf(seen)).size).toBe(14);
    for (const [stream, count] of [
      [here, 7],
      [there, 7],
    ] as const) {
      const own = seen.filter((event) => event.stream === stream).map(({ revision }) => Number(revision));
      expect(own).toEqual(Array.from({ length: count }, (_, n) => n));
    }
  });

  it('ends its subscription when all are away, and says what was said', async () => {
    const ended = collect(follow(), () => false);
    await append(streamIn(0, 3));
    for (const shard of shards) shard.cut();
    expect((await ended).items.length).toBeLessThanOrEqual(4);
    await expect(collect(follow(), () => false)).rejects.toThrow(EventLogUnavailable);
  });

  it('has caught up when every shard has', async () => {
    for (const shard of [0, 1, 2]) await append(streamIn(shard, 3), 40);
    shards[2]?.cut();
    let wasAway = true;
    const seen = await collect(follow(), (item, events) => {
      if (events.length === 80 && wasAway) {
        wasAway = false;
        expect(caughtUp(item)).toBe(false);
        shards[2]?.mend();
      }
      return caughtUp(item);
    });
    expect(seen.events).toHaveLength(120);
    const end = seen.items.at(-1);
    expect(end?.kind === 'caughtUp' && hasPassed(end.position, await log.head())).toBe(true);
  });

  it('goes on from its checkpoints in every shard', async () => {
    for (const shard of [0, 1, 2]) await append(streamIn(shard, 3), 5);
    const first = await collect(follow(), caughtUp);
    const end = first.items.at(-1);
    if (end?.kind !== 'caughtUp') throw new Error('it has caught up');
    const late = await append(streamIn(1, 3));
    const second = await collect(follow(end.position), (_item, events) => events.length === 1);
    expect(late).toMatchObject({ position: second.events[0]?.position });
  });

  it('does not show what was left behind where it is not placed', async () => {
    const moved = streamIn(2, 3);
    await memory[0]?.append(moved, newEvents(5), { expected: 'any' });
    await append(moved, 3);
    await append(streamIn(0, 3), 1);
    expect((await log.readAll({ limit: 100 })).events).toHaveLength(4);
    const followed = await collect(follow(), caughtUp);
    expect(followed.events).toHaveLength(4);
    expect(
      followed.events.filter(({ stream }) => stream === moved).map(({ position }) => shardOf(position)),
    ).toEqual([2, 2, 2]);
  });

  it('gives pages smaller than the number of shards, oldest first, and misses nothing', async () => {
    for (const shard of [2, 0, 1, 0, 2]) await append(streamIn(shard, 3), 2);
    for (const direction of ['forwards', 'backwards'] as const) {
      const seen: string[] = [];
      for (let after; ;) {
        const page = await log.readAll({ limit: 2, direction, ...(after === undefined ? {} : { after }) });
        expect(page.events.length).toBeLessThanOrEqual(2);
        seen.push(...idsOf(page.events));
        if (page.endOfLog) break;
        after = page.next;
      }
      expect(seen).toHaveLength(10);
      expect(new Set(seen).size).toBe(10);
    }
    const oldest = (await Promise.all(memory.map((one) => one.readAll({ limit: 1 }))))
      .flatMap(({ events }) => events)
      .toSorted((a, b) => a.created - b.created)[0];
    expect((await log.readAll({ limit: 1 })).events[0]?.created).toBe(oldest?.created);
  });

  it('knows its head only with all shards there', async () => {
    await append(streamIn(1, 3));
    const places = await Promise.all(memory.map((one) => one.head()));
    expect(await log.head()).toEqual(fromPlaces(places));
    memory[1]?.close();
    await expect(log.head()).rejects.toThrow(ShardAway);
    await expect(log.head()).rejects.toThrow(/shard 2 of 3 is away/);
    await expect(log.readAll({ limit: 5 })).rejects.toThrow(ShardAway);
  });

  it('knows which of them are away, and says when one is back', async () => {
    const back: number[] = [];
    log = new ShardedEventLog(shards, { epoch, onBack: (shard) => back.push(shard) });
    expect([...log.away]).toEqual([]);
    shards[1]?.cut();
    await expect(append(streamIn(1, 3))).rejects.toMatchObject({ shard: 1 });
    await expect(append(streamIn(1, 3))).rejects.toThrow(ShardAway);
    await append(streamIn(0, 3));
    expect([...log.away]).toEqual([1]);
    expect(back).toEqual([]);
    shards[1]?.mend();
    await append(streamIn(1, 3));
    await append(streamIn(1, 3));
    expect([...log.away]).toEqual([]);
    expect(back).toEqual([1]);
  });

  it('is followed from its end, and a shard that is away from where the read models are', async () => {
    for (const shard of [0, 1, 2]) await append(streamIn(shard, 3), 5);
    const filter = { streamPrefixes: [''] };
    const readModels = { commit: 1n, prepare: 1n, others: [{ commit: 2n, prepare: 2n }] };
    log = new ShardedEventLog(shards, { epoch, readModels: () => Promise.resolve(readModels) });
    const whole = await log.headOf(filter);
    expect(await log.headToFollow(filter)).toEqual(whole);
    shards[1]?.cut();
    const begin = await log.headToFollow(filter);
    const places = [placeIn(whole, 0), { commit: 2n, prepare: 2n }, placeIn(whole, 2)];
    expect(begin).toEqual(fromPlaces(places));
    for (const shard of shards) shard.cut();
    await expect(log.headToFollow(filter)).rejects.toThrow(EventLogUnavailable);
  });

  it(`holds ${SHARD_ITEMS_MAX} items a shard for a slow reader, and lets no shard starve`, async () => {
    await append(streamIn(0, 3), 1_000);
    await append(streamIn(1, 3), 10);
    const items = follow()[Symbol.asyncIterator]();
    await items.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(shards[0]?.given).toBeLessThanOrEqual(SHARD_ITEMS_MAX + 2);
    const first: SubscriptionItem[] = [];
    while (first.length < 30) first.push((await items.next()).value as SubscriptionItem);
    const fromSecond = first.filter((item) => item.kind === 'event' && shardOf(item.event.position) === 1);
    expect(fromSecond).toHaveLength(10);
    await items.return?.();
  });
});

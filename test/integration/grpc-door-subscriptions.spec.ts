import { setTimeout as pause } from 'node:timers/promises';
import {
  eventTypeFilter,
  excludeSystemEvents,
  jsonEvent,
  START,
  END,
  StreamDeletedError,
  streamNameFilter,
  type EventStoreDBClient,
  type Position,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { openTestDoor, type TestDoor } from '../support/grpc-door';

const said = (n = 0, type = 'Said', text = '') => jsonEvent({ type, data: { n, text } });
const saids = (count: number, type = 'Said') => Array.from({ length: count }, (_, n) => said(n, type));
const nameOf = ({ event }: ResolvedEvent): string => `${event?.streamId}${event?.revision}`;

describe('subscriptions by the gRPC door', () => {
  let door: TestDoor;
  let client: EventStoreDBClient;
  beforeEach(async () => {
    door = await openTestDoor();
    client = door.client;
  });
  afterEach(() => door.close());

  /** The names of the first `count` events that are not the node's own. */
  const take = async (items: AsyncIterable<ResolvedEvent>, count: number): Promise<string[]> => {
    const seen: string[] = [];
    for await (const item of items) {
      if (item.event?.streamId.startsWith('$') === true) continue;
      if (seen.push(nameOf(item)) === count) break;
    }
    return seen;
  };

  it('to everything: from the start, from a position, from the end, and on', async () => {
    await client.appendToStream('a', saids(3));
    const fromStart = take(client.subscribeToAll({ fromPosition: START }), 5);
    const second = BigInt(door.first + 1);
    const fromPosition = take(
      client.subscribeToAll({ fromPosition: { commit: second, prepare: second } }),
      3,
    );
    const ended = client.subscribeToAll({ fromPosition: END });
    const fromEnd = take(ended, 2);
    await new Promise((resolve) => ended.once('confirmation', resolve));
    await client.appendToStream('b', saids(2));
    expect(await fromStart).toEqual(['a0', 'a1', 'a2', 'b0', 'b1']);
    expect(await fromPosition).toEqual(['a2', 'b0', 'b1']);
    expect(await fromEnd).toEqual(['b0', 'b1']);
  });

  it('to one stream: from the start, from a revision, from the end, and before there is one', async () => {
    await client.appendToStream('a', saids(100));
    await client.appendToStream('ab', saids(2));
    const fromStart = take(client.subscribeToStream('a', { fromRevision: START }), 101);
    const fromRevision = take(client.subscribeToStream('a', { fromRevision: 98n }), 2);
    const ended = client.subscribeToStream('a', { fromRevision: END });
    const fromEnd = take(ended, 1);
    const early = take(client.subscribeToStream('later'), 2);
    await new Promise((resolve) => ended.once('confirmation', resolve));
    await client.appendToStream('a', said(100));
    await client.appendToStream('later', saids(2));
    expect((await fromStart).at(-1)).toBe('a100');
    expect(await fromRevision).toEqual(['a99', 'a100']);
    expect(await fromEnd).toEqual(['a100']);
    expect(await early).toEqual(['later0', 'later1']);
  });

  it('to one stream lose and repeat nothing while it is written', async () => {
    const writing = (async () => {
      for (let n = 0; n < 100; n++) await client.appendToStream('busy', saids(3));
    })();
    const readers = Array.from({ length: 6 }, async (_, n) => {
      await pause(n * 20);
      return take(client.subscribeToStream('busy'), 300);
    });
    await writing;
    const expected = Array.from({ length: 300 }, (_, n) => `busy${n}`);
    for (const reader of readers) expect(await reader).toEqual(expected);
  });

  it('end with the error’s name when their stream is deleted for ever', async () => {
    await client.appendToStream('doomed', saids(1));
    const reading = take(client.subscribeToStream('doomed'), 9);
    const failed = expect(reading).rejects.toThrow(StreamDeletedError);
    await client.tombstoneStream('doomed');
    await failed;
    await expect(take(client.subscribeToStream('doomed'), 1)).rejects.toThrow(StreamDeletedError);
  });

  it.each([
    ['stream name prefixes', streamNameFilter({ prefixes: ['odd-', 'x-'] })],
    ['a stream name expression', streamNameFilter({ regex: '^(odd|x)-' })],
    ['event type prefixes', eventTypeFilter({ prefixes: ['Odd'] })],
    ['an event type expression', eventTypeFilter({ regex: '^O.d' })],
  ])('pass only what fits %s', async (_name, filter) => {
    await client.appendToStream('odd-1', saids(2, 'OddSaid'));
    await client.appendToStream('even-1', saids(2));
    await client.appendToStream('odd-2', saids(1, 'OddSaid'));
    expect(await take(client.subscribeToAll({ filter }), 3)).toEqual(['odd-10', 'odd-11', 'odd-20']);
  });

  it('leave out the system’s events when asked', async () => {
    await client.setStreamMetadata('a', { maxCount: 5 });
    await client.appendToStream('a', saids(1));
    expect(await take(client.subscribeToAll({ filter: excludeSystemEvents() }), 1)).toEqual(['a0']);
  });

  it('report checkpoints while nothing passes, then that they have caught up', async () => {
    await client.appendToStream('other', saids(300));
    const reached: Position[] = [];
    const filter = streamNameFilter({
      prefixes: ['wanted'],
      maxSearchWindow: 10,
      checkpointInterval: 2,
      checkpointReached: (_subscription, position) => {
        reached.push(position);
      },
    });
    const subscription = client.subscribeToAll({ filter });
    await new Promise((resolve) => subscription.once('caughtUp' as 'confirmation', resolve));
    expect(reached.at(-1)?.commit).toBe(BigInt(door.first + 299));
    await subscription.unsubscribe();
  });

  it('cost a bounded amount of memory when nobody takes their events', async () => {
    const big = 'x'.repeat(500_000);
    const own = BigInt(door.first - 1);
    const fromPosition = { commit: own, prepare: own };
    const stuck = Array.from({ length: 4 }, () => client.subscribeToAll({ fromPosition }));
    const iterators = stuck.map((subscription) => subscription[Symbol.asyncIterator]());
    await client.appendToStream('big', said(0, 'Said', big));
    await Promise.all(iterators.map((iterator) => iterator.next()));
    global.gc?.();
    const before = process.memoryUsage();
    for (let n = 1; n < 300; n++) await client.appendToStream('big', said(n, 'Said', big));
    await pause(200);
    const after = process.memoryUsage();
    // 150 MB were written; four readers that held all of it would hold 600.
    expect(after.external - before.external).toBeLessThan(200e6);
    // And each still gets everything, in order.
    for (const iterator of iterators) {
      for (let n = 1; n < 300; n++) {
        const next = (await iterator.next()) as IteratorResult<ResolvedEvent>;
        expect(Number((next.value as ResolvedEvent).event?.revision)).toBe(n);
      }
      await iterator.return?.();
    }
  });

  it('say when they fell behind, and when they have caught up again', async () => {
    const text = 'x'.repeat(400_000);
    for (const subscribe of [
      () => client.subscribeToAll({ fromPosition: END }),
      () => client.subscribeToStream('big', { fromRevision: END }),
    ]) {
      const subscription = subscribe();
      const heard: string[] = [];
      const events = subscription[Symbol.asyncIterator]();
      for (const name of ['caughtUp', 'fellBehind']) {
        subscription.on(name as 'confirmation', () => heard.push(name));
      }
      await new Promise((resolve) => subscription.once('caughtUp' as 'confirmation', resolve));
      const first = door.store.head;
      // Nobody takes them: after the client's own buffers are full (48 events), more than is kept in memory here.
      for (let n = 0; n < 110; n++) await client.appendToStream('big', said(n, 'Said', text));
      await client.appendToStream('big', saids(80));
      const last = door.store.head;
      for (;;) {
        const { value } = (await events.next()) as { value: ResolvedEvent };
        if (Number(value.event?.position?.commit) === last) break;
      }
      while (heard.at(-1) !== 'caughtUp' || heard.length < 3) await pause(20);
      expect(heard.slice(0, 2)).toEqual(['caughtUp', 'fellBehind']);
      expect(last).toBeGreaterThan(first);
      await subscription.unsubscribe();
    }
  });

  it('run a thousand at a time', async () => {
    const subscriptions = Array.from({ length: 1_000 }, () => client.subscribeToStream('shared'));
    const seen = subscriptions.map((subscription) => take(subscription, 2));
    await client.appendToStream('shared', saids(2));
    for (const names of await Promise.all(seen)) expect(names).toEqual(['shared0', 'shared1']);
  });
});

it('refuses one subscription more than it is to carry, and serves the others', async () => {
  const door = await openTestDoor({ readsMax: 2 });
  const subscriptions = [door.client.subscribeToAll(), door.client.subscribeToAll()];
  const confirmed = subscriptions.map((one) => new Promise((resolve) => one.once('confirmation', resolve)));
  await Promise.all(confirmed);
  const third = door.client.subscribeToAll();
  await expect(third[Symbol.asyncIterator]().next()).rejects.toThrow(/2 reads are under way/);
  await expect(door.client.appendToStream('a', said())).resolves.toMatchObject({ success: true });
  for (const one of subscriptions) await one.unsubscribe();
  await door.close();
});

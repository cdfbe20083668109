import { encodeRecord, RecordedEvent, sealRecord } from '../../engine/record';
import { unresolved } from '../links';
import { Consumer, CONSUMER_SLOTS_MAX, type Delivery } from './consumer';
import { Measurements, MEASUREMENTS_MAX } from './measurements';
import { MessageQueue, type Message } from './messages';
import { isOwnBookkeeping, objectionTo, placeOf, placeText, type GroupSettings } from './settings';
import { strategyOf } from './strategy';

function messageOf(order: number, stream = 's', correlation?: string): Message {
  const id = `00000000-0000-4000-8000-${String(order).padStart(12, '0')}`;
  const metadata = correlation === undefined ? '' : JSON.stringify({ $correlationId: correlation });
  const event = { id, type: 'T', isJson: true, data: '{}', metadata };
  const record = encodeRecord(stream, event);
  sealRecord(record, order, 0);
  const resolved = unresolved(new RecordedEvent(order, record));
  return { id, resolved, order, before: order - 1, parkedAt: undefined, retries: 0 };
}

function consumerOf(slots = 10, give: Delivery['give'] = () => undefined): Consumer {
  const name = { from: '', username: '', connectionName: '' };
  return new Consumer(name, slots, true, { give, drop: () => undefined }, () => undefined);
}

describe('a consumer', () => {
  it('has so many messages under way, and no more', () => {
    const consumer = consumerOf(2);
    consumer.give(messageOf(1));
    expect(consumer.hasRoom).toBe(true);
    consumer.give(messageOf(2));
    expect(consumer.hasRoom).toBe(false);
    consumer.release(messageOf(1).id);
    expect(consumer.hasRoom).toBe(true);
    expect(consumerOf(1e9).slots).toBe(CONSUMER_SLOTS_MAX);
  });

  it('that does not take what it is sent is sent nothing more', async () => {
    let drained = (): void => undefined;
    const consumer = consumerOf(10, () => {
      return new Promise((resolve) => {
        drained = resolve;
      });
    });
    consumer.give(messageOf(1));
    expect(consumer.hasRoom).toBe(false);
    drained();
    await Promise.resolve();
    await Promise.resolve();
    expect(consumer.hasRoom).toBe(true);
  });
});

describe('strategies', () => {
  const sent = (name: Parameters<typeof strategyOf>[0], messages: Message[], consumers: Consumer[]) => {
    const choose = strategyOf(name);
    return messages.map((message) => {
      const chosen = choose(message, consumers);
      chosen?.give(message);
      return chosen === undefined ? -1 : consumers.indexOf(chosen);
    });
  };
  const numbered = Array.from({ length: 5 }, (_, n) => messageOf(n));

  it('take turns, pass over who is full, and stop when all are', () => {
    expect(sent('RoundRobin', numbered, [consumerOf(3), consumerOf(1)])).toEqual([0, 1, 0, 0, -1]);
  });

  it('fill one first', () => {
    expect(sent('DispatchToSingle', numbered, [consumerOf(3), consumerOf(1)])).toEqual([0, 0, 0, 1, -1]);
  });

  it('keep a stream, or a correlation, with one consumer, and move only what a lost one had', () => {
    const streams = Array.from({ length: 200 }, (_, n) => `stream-${n}`);
    const consumers = [0, 1, 2].map(() => consumerOf(5_000));
    const homes = (left: Consumer[]) =>
      streams.map((stream, n) => strategyOf('Pinned')(messageOf(n, stream), left));
    const before = homes(consumers);
    expect(new Set(before).size).toBe(3);
    const [lost, ...left] = consumers as [Consumer, Consumer, Consumer];
    homes(left).forEach((home, n) => {
      if (before[n] !== lost) expect(home).toBe(before[n]);
    });
    const correlated = [1, 2, 3].map((n) => messageOf(n, `other-${n}`, 'one'));
    expect(new Set(sent('PinnedByCorrelation', correlated, consumers)).size).toBe(1);
    const full = consumerOf(1);
    expect(sent('Pinned', numbered, [full])).toEqual([0, -1, -1, -1, -1]);
  });
});

describe('messages that wait', () => {
  it('come in the order of the source, also those that come back', () => {
    const queue = new MessageQueue();
    for (const order of [3, 4, 1, 2]) queue.add(messageOf(order));
    const seen: number[] = [];
    queue.offer(({ order }) => {
      seen.push(order);
      return order === 2 ? 'kept' : order === 4 ? 'full' : 'taken';
    });
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(queue.count).toBe(2);
    expect(queue.offer(() => 'taken')).toBe(true);
    expect([queue.count, queue.bytes]).toEqual([0, 0]);
  });
});

it('measurements are of the last so many', () => {
  const measurements = new Measurements();
  expect(measurements.observed()).toEqual([]);
  for (let n = 0; n < MEASUREMENTS_MAX; n++) measurements.add(1_000);
  for (let n = 0; n < MEASUREMENTS_MAX; n++) measurements.add(n);
  const observed = new Map(measurements.observed().map(({ key, value }) => [key, value]));
  expect(observed.get('Fastest')).toBe(0);
  expect(observed.get('Highest')).toBe(MEASUREMENTS_MAX - 1);
  expect(observed.get('Median')).toBe(MEASUREMENTS_MAX / 2 - 1);
});

describe('settings', () => {
  const sound: GroupSettings = {
    stream: 's',
    group: 'g',
    filter: undefined,
    startFrom: 0,
    resolveLinks: false,
    extraStatistics: false,
    messageTimeoutMs: 0,
    maxRetryCount: 0,
    checkpointAfterMs: 0,
    minCheckpointCount: 0,
    maxCheckpointCount: 1,
    maxSubscriberCount: 0,
    liveBufferSize: 1,
    readBatchSize: 1,
    historyBufferSize: 2,
    strategy: 'RoundRobin',
  };

  it.each<[Partial<GroupSettings>, boolean]>([
    [{}, true],
    [{ group: '' }, false],
    [{ readBatchSize: 2 }, false],
    [{ readBatchSize: 0 }, false],
    [{ maxCheckpointCount: 0 }, false],
    [{ minCheckpointCount: 2 }, true],
    [{ liveBufferSize: 0 }, false],
    [{ maxRetryCount: -1 }, false],
  ])('%j: %s', (change, fits) => {
    expect(objectionTo({ ...sound, ...change }) === undefined).toBe(fits);
  });

  it('write places as EventStoreDB does, and read them back', () => {
    for (const stream of ['s', '$all']) expect(placeOf(stream, placeText(stream, 42))).toBe(42);
    expect(placeText('$all', 42)).toBe('C:42/P:42');
    expect(placeOf('s', 7)).toBe(7);
    for (const text of ['', 'x', 'C:1/P:1', '1'.repeat(30), undefined])
      expect(placeOf('s', text)).toBeUndefined();
  });

  it('know what groups of the whole log write themselves', () => {
    expect(isOwnBookkeeping('$persistentsubscription-$all::g-parked')).toBe(true);
    expect(isOwnBookkeeping('$persistentsubscription-$all::g-checkpoint')).toBe(true);
    expect(isOwnBookkeeping('$persistentsubscription-s::g-parked')).toBe(false);
  });
});

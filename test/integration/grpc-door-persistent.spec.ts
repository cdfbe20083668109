import {
  binaryEvent,
  eventTypeFilter,
  jsonEvent,
  persistentSubscriptionToAllSettingsFromDefaults as allSettings,
  PersistentSubscriptionDoesNotExistError,
  PersistentSubscriptionDroppedError,
  PersistentSubscriptionExistsError,
  PersistentSubscriptionFailedError,
  PersistentSubscriptionMaximumSubscribersReachedError,
  persistentSubscriptionToStreamSettingsFromDefaults as streamSettings,
  START,
  streamNameFilter,
  type EventStoreDBClient,
  type PersistentSubscriptionToStream,
} from '@eventstore/db-client';
import { openTestDoor, type TestDoor } from '../support/grpc-door';
import { confirmed, numbersOf, taker } from '../support/persistent-consumer';

const said = (n = 0, type = 'Said') => jsonEvent({ type, data: { n } });
const saids = (count: number, type = 'Said') => Array.from({ length: count }, (_, n) => said(n, type));
const PARKED = '$persistentsubscription-s::g-parked';

describe('groups of consumers by the gRPC door', () => {
  let door: TestDoor;
  let client: EventStoreDBClient;
  beforeEach(async () => {
    door = await openTestDoor();
    client = door.client;
  });
  afterEach(() => door.close());

  const connect = (bufferSize = 10): PersistentSubscriptionToStream =>
    client.subscribeToPersistentSubscriptionToStream('s', 'g', { bufferSize });

  describe('are made and changed', () => {
    it('with all their settings, as they are shown afterwards', async () => {
      const settings = streamSettings({
        resolveLinkTos: true,
        extraStatistics: true,
        messageTimeout: 5_000,
        maxRetryCount: 3,
        checkPointAfter: 1_000,
        checkPointLowerBound: 5,
        checkPointUpperBound: 50,
        maxSubscriberCount: 4,
        liveBufferSize: 60,
        readBatchSize: 7,
        historyBufferSize: 70,
        consumerStrategyName: 'Pinned',
        startFrom: 2n,
      });
      await client.createPersistentSubscriptionToStream('s', 'g', settings);
      const info = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
      expect(info).toMatchObject({ eventSource: 's', groupName: 'g', settings, connections: [] });
      const changed = streamSettings({ startFrom: START, consumerStrategyName: 'DispatchToSingle' });
      await client.updatePersistentSubscriptionToStream('s', 'g', changed);
      const after = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
      expect(after).toMatchObject({ settings: changed });
    });

    it('with checkpoints after fewer messages than the least number by time', async () => {
      const settings = streamSettings({
        checkPointLowerBound: 12,
        checkPointUpperBound: 1,
        startFrom: START,
      });
      await client.createPersistentSubscriptionToStream('s', 'g', settings);
      await client.appendToStream('s', said());
      const consumer = taker(connect());
      await consumer.subscription.ack(...(await consumer.take(1)));
      const checkpoints = '$persistentsubscription-s::g-checkpoint';
      await door.until(async () => (await door.revisions(checkpoints)).length > 0);
    });

    it('once, and are gone when they are deleted', async () => {
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings());
      const again = client.createPersistentSubscriptionToStream('s', 'g', streamSettings());
      await expect(again).rejects.toThrow(PersistentSubscriptionExistsError);
      await expect(again).rejects.toMatchObject({ streamName: 's', groupName: 'g' });
      await client.deletePersistentSubscriptionToStream('s', 'g');
      const missing = PersistentSubscriptionDoesNotExistError;
      await expect(client.deletePersistentSubscriptionToStream('s', 'g')).rejects.toThrow(missing);
      const update = client.updatePersistentSubscriptionToStream('s', 'g', streamSettings());
      await expect(update).rejects.toThrow(missing);
      await expect(client.getPersistentSubscriptionToStreamInfo('s', 'g')).rejects.toThrow(missing);
      await expect(client.replayParkedMessagesToStream('s', 'g')).rejects.toThrow(missing);
      await expect(client.listPersistentSubscriptionsToStream('s')).rejects.toThrow(missing);
      await expect(taker(connect()).take(1)).rejects.toThrow(missing);
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings());
    });

    it('for the whole log likewise, beside those of streams', async () => {
      const filter = eventTypeFilter({ prefixes: ['Said'] });
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings());
      await client.createPersistentSubscriptionToStream('s', 'h', streamSettings());
      await client.createPersistentSubscriptionToStream('t', 'g', streamSettings());
      await client.createPersistentSubscriptionToAll('g', allSettings({ startFrom: START }), { filter });
      const again = client.createPersistentSubscriptionToAll('g', allSettings());
      await expect(again).rejects.toMatchObject({ streamName: '$all', groupName: 'g' });
      const ofStream = await client.listPersistentSubscriptionsToStream('s');
      expect(ofStream.map(({ groupName }) => groupName)).toEqual(['g', 'h']);
      const [ofAll] = await client.listPersistentSubscriptionsToAll();
      expect(ofAll).toMatchObject({ eventSource: '$all', settings: { startFrom: 'start' } });
      expect(await client.listAllPersistentSubscriptions()).toHaveLength(4);
      await client.updatePersistentSubscriptionToAll('g', allSettings({ maxRetryCount: 4 }));
      const info = await client.getPersistentSubscriptionToAllInfo('g');
      expect(info.settings).toMatchObject({ maxRetryCount: 4, startFrom: 'end' });
      await client.deletePersistentSubscriptionToAll('g');
      await expect(client.getPersistentSubscriptionToAllInfo('g')).rejects.toThrow(
        PersistentSubscriptionDoesNotExistError,
      );
    });

    it.each([
      ['reads as much as it buffers', { readBatchSize: 500, historyBufferSize: 500 }],
      ['never checkpoints', { checkPointUpperBound: 0, checkPointLowerBound: 0 }],
      ['has a negative time-out', { messageTimeout: -1 }],
    ])('but not one that %s', async (_name, change) => {
      const create = client.createPersistentSubscriptionToStream('s', 'g', streamSettings(change));
      await expect(create).rejects.toThrow(PersistentSubscriptionFailedError);
      expect(door.store.head).toBe(door.first - 1);
    });

    it.each([
      ['a broken filter', { filter: streamNameFilter({ regex: '(' }) }, {}],
      ['a beginning beyond the end', {}, { startFrom: { commit: 2n ** 60n, prepare: 2n ** 60n } }],
    ])('nor with %s', async (_name, options, change) => {
      const create = client.createPersistentSubscriptionToAll('g', allSettings(change), options);
      await expect(create).rejects.toThrow(PersistentSubscriptionFailedError);
    });
  });

  describe('hand out', () => {
    it.each<['start' | 'end' | bigint, number[]]>([
      ['start', [0, 1, 2, 3]],
      ['end', [3]],
      [2n, [2, 3]],
    ])('a stream from %s, and what comes', async (startFrom, expected) => {
      await client.appendToStream('s', saids(3));
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings({ startFrom }));
      await client.appendToStream('s', said(3));
      const messages = await taker(connect()).take(expected.length);
      expect(numbersOf(messages)).toEqual(expected);
      expect(messages.every(({ retryCount }) => retryCount === 0)).toBe(true);
    });

    it('of the whole log what the filter lets through, and never what they write themselves', async () => {
      await client.appendToStream('odd-1', saids(2));
      const filter = streamNameFilter({ regex: '^(odd-|\\$persistent)' });
      const settings = allSettings({ startFrom: START, checkPointUpperBound: 1, checkPointLowerBound: 1 });
      await client.createPersistentSubscriptionToAll('g', settings, { filter });
      await client.appendToStream('even-1', saids(2));
      await client.appendToStream('odd-2', saids(2));
      const consumer = taker(client.subscribeToPersistentSubscriptionToAll('g'));
      const first = await consumer.take(5);
      await consumer.subscription.ack(...first.slice(0, 4));
      await consumer.subscription.nack('park', 'no', ...first.slice(4));
      const own = ['parked', 'checkpoint'].map((what) => `$persistentsubscription-$all::g-${what}`);
      for (const stream of own) await door.until(async () => (await door.revisions(stream)).length > 0);
      await client.appendToStream('odd-3', said(9));
      const [next] = await consumer.take(1);
      const streams = [...first, next].map((message) => message?.event?.streamId);
      expect(streams).toEqual(['odd-1', 'odd-1', '$persistentSubscriptionConfig', 'odd-2', 'odd-2', 'odd-3']);
    });

    it('from the end of the log what comes after they were made', async () => {
      await client.appendToStream('s', saids(3));
      await client.createPersistentSubscriptionToAll('g', allSettings());
      await client.appendToStream('s', said(7));
      const taken = await taker(client.subscribeToPersistentSubscriptionToAll('g')).take(3);
      // Beginning with the group's own making, which is in the log like all else.
      expect(taken[1]?.event?.type).toBe('$PersistentConfig');
      expect(numbersOf(taken.slice(2))).toEqual([7]);
    });

    it('to each consumer no more than it has room for, and to all of them in turn', async () => {
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings({ startFrom: START }));
      const [one, other] = [taker(connect(3)), taker(connect(3))];
      await Promise.all([confirmed(one.subscription), confirmed(other.subscription)]);
      await client.appendToStream('s', saids(10));
      const [mine, others] = await Promise.all([one.take(3), other.take(3)]);
      expect([...numbersOf(mine), ...numbersOf(others)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
      const info = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
      expect(info.connections.map(({ availableSlots }) => availableSlots)).toEqual([0, 0]);
      await one.subscription.ack(...mine);
      expect(numbersOf(await one.take(3))).toEqual([6, 7, 8]);
    });

    it('to the first that has room, when they are so told', async () => {
      const settings = streamSettings({ startFrom: START, consumerStrategyName: 'DispatchToSingle' });
      await client.createPersistentSubscriptionToStream('s', 'g', settings);
      const first = taker(connect(3));
      await confirmed(first.subscription);
      const second = taker(connect(3));
      await confirmed(second.subscription);
      await client.appendToStream('s', saids(4));
      expect(numbersOf(await first.take(3))).toEqual([0, 1, 2]);
      expect(numbersOf(await second.take(1))).toEqual([3]);
    });

    it('a stream’s events to one consumer, when they are pinned', async () => {
      const settings = allSettings({ startFrom: START, consumerStrategyName: 'Pinned' });
      const filter = streamNameFilter({ prefixes: ['pin-'] });
      await client.createPersistentSubscriptionToAll('g', settings, { filter });
      const consumers = [0, 1].map(() => taker(client.subscribeToPersistentSubscriptionToAll('g')));
      for (const { subscription } of consumers) await confirmed(subscription);
      for (let n = 0; n < 40; n++) await client.appendToStream(`pin-${n % 20}`, said(n));
      const homes = new Map<string, Set<number>>();
      let seen = 0;
      const all = consumers.map(async (consumer, who) => {
        for (;;) {
          const [message] = await consumer.take(1);
          if (message === undefined) return;
          const stream = String(message.event?.streamId);
          homes.set(stream, (homes.get(stream) ?? new Set()).add(who));
          await consumer.subscription.ack(message);
          if (++seen === 40) for (const { subscription } of consumers) await subscription.unsubscribe();
        }
      });
      await Promise.all(all);
      expect(homes.size).toBe(20);
      for (const who of homes.values()) expect(who.size).toBe(1);
      expect(new Set([...homes.values()].flatMap((who) => [...who])).size).toBe(2);
    });

    it('what links lead to, and take its acknowledgement by the link', async () => {
      await client.appendToStream('source', saids(2));
      const links = ['1@source', '0@nowhere'].map((to) => binaryEvent({ type: '$>', data: Buffer.from(to) }));
      await client.appendToStream('s', links);
      const settings = streamSettings({ startFrom: START, resolveLinkTos: true, maxRetryCount: 0 });
      await client.createPersistentSubscriptionToStream('s', 'g', settings);
      const consumer = taker(connect());
      const messages = await consumer.take(2);
      expect(messages[0]).toMatchObject({
        event: { streamId: 'source', revision: 1n },
        link: { revision: 0n },
      });
      expect(messages[1]?.event).toBeUndefined();
      expect(messages[1]).toMatchObject({ link: { streamId: 's', revision: 1n } });
      await consumer.subscription.ack(...messages);
      await door.until(async () => {
        const { stats } = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
        return stats.totalInFlightMessages === 0;
      });
    });
  });

  describe('give out again', () => {
    it('what was refused, to be tried again, with its count', async () => {
      await client.appendToStream('s', saids(2));
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings({ startFrom: START }));
      const consumer = taker(connect());
      const [first, second] = await consumer.take(2);
      await consumer.subscription.nack('retry', 'not now', first as never);
      const [again] = await consumer.take(1);
      expect(again).toMatchObject({ event: { id: first?.event?.id }, retryCount: 1 });
      await consumer.subscription.ack(again as never, second as never);
    });

    it('what was not settled in time, and park it after so many times', async () => {
      await client.appendToStream('s', saids(1));
      const settings = streamSettings({ startFrom: START, messageTimeout: 10, maxRetryCount: 2 });
      await client.createPersistentSubscriptionToStream('s', 'g', settings);
      const seen = await taker(connect()).take(3);
      expect(seen.map(({ retryCount }) => retryCount)).toEqual([0, 1, 2]);
      await door.until(async () => {
        const { stats } = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
        return stats.parkedMessageCount === 1n;
      });
    });

    it('what a consumer had when it went, to another', async () => {
      await client.appendToStream('s', saids(3));
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings({ startFrom: START }));
      const gone = taker(connect());
      const [first] = await gone.take(3);
      await gone.subscription.ack(first as never);
      await door.until(async () => {
        const { stats } = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
        return stats.totalInFlightMessages === 2;
      });
      await gone.subscription.unsubscribe();
      expect(numbersOf(await taker(connect()).take(2))).toEqual([1, 2]);
    });

    it('what was parked, up to where it is asked, and lets go of it when it is settled', async () => {
      await client.appendToStream('s', saids(4));
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings({ startFrom: START }));
      const consumer = taker(connect());
      await consumer.subscription.nack('park', 'bad', ...(await consumer.take(4)));
      const parked = async (): Promise<bigint> =>
        (await client.getPersistentSubscriptionToStreamInfo('s', 'g')).stats.parkedMessageCount;
      await door.until(async () => (await parked()) === 4n);
      const stored = await door.revisions(PARKED);
      expect(stored).toEqual([0, 1, 2, 3]);
      await client.replayParkedMessagesToStream('s', 'g', { stopAt: 2 });
      const replayed = await consumer.take(2);
      expect(numbersOf(replayed)).toEqual([0, 1]);
      expect(replayed[0]).toMatchObject({ link: { streamId: PARKED }, retryCount: 0 });
      expect(await parked()).toBe(2n);
      // As long as they are not settled, a crash must not lose them.
      expect(await door.revisions(PARKED)).toEqual([0, 1, 2, 3]);
      await consumer.subscription.ack(...replayed);
      await door.until(async () => (await door.revisions(PARKED)).length === 2);
      await client.replayParkedMessagesToStream('s', 'g');
      expect(numbersOf(await consumer.take(2))).toEqual([2, 3]);
    });

    it('not what is skipped', async () => {
      await client.appendToStream('s', saids(2));
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings({ startFrom: START }));
      const consumer = taker(connect(1));
      const [first] = await consumer.take(1);
      await consumer.subscription.nack('skip', 'never', first as never);
      expect(numbersOf(await consumer.take(1))).toEqual([1]);
      expect(await door.revisions(PARKED)).toEqual([]);
    });
  });

  describe('let go of their consumers', () => {
    it.each<[string, () => Promise<void>]>([
      ['when they are deleted', () => client.deletePersistentSubscriptionToStream('s', 'g')],
      [
        'when they are changed',
        () => client.updatePersistentSubscriptionToStream('s', 'g', streamSettings()),
      ],
      ['when the subsystem is begun anew', () => client.restartPersistentSubscriptionSubsystem()],
    ])('%s', async (_name, end) => {
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings());
      const consumer = taker(connect());
      await confirmed(consumer.subscription);
      const dropped = expect(consumer.take(1)).rejects.toThrow(PersistentSubscriptionDroppedError);
      await end();
      await dropped;
    });

    it('and take no more than they may', async () => {
      await client.createPersistentSubscriptionToStream('s', 'g', streamSettings({ maxSubscriberCount: 1 }));
      const first = taker(connect());
      await confirmed(first.subscription);
      await expect(taker(connect()).take(1)).rejects.toThrow(
        PersistentSubscriptionMaximumSubscribersReachedError,
      );
      await first.subscription.unsubscribe();
      await door.until(async () => {
        const { connections } = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
        return connections.length === 0;
      });
      await confirmed(taker(connect()).subscription);
    });
  });

  it('read no more ahead than they may hold, and give two events of one id one after the other', async () => {
    const large = { text: 'x'.repeat(400_000) };
    const id = '6f9c2b0e-6a3f-4b43-9a51-1f2f4f0d8a10';
    for (const stream of ['large-1', 'large-2']) {
      await client.appendToStream(stream, jsonEvent({ id, type: 'Large', data: large }));
    }
    for (let n = 0; n < 8; n++) {
      await client.appendToStream('large-3', jsonEvent({ type: 'Large', data: large }));
    }
    const filter = streamNameFilter({ prefixes: ['large-'] });
    const settings = allSettings({ startFrom: START });
    await client.createPersistentSubscriptionToAll('g', settings, { filter });
    await door.until(async () => {
      const { stats } = await client.getPersistentSubscriptionToAllInfo('g');
      return stats.readBufferCount + Number(stats.liveBufferCount) > 0;
    });
    const { stats } = await client.getPersistentSubscriptionToAllInfo('g');
    // A MiB, and the one message that is above it.
    expect(stats.readBufferCount + Number(stats.liveBufferCount)).toBeLessThanOrEqual(3);
    const options = { bufferSize: 2 };
    const consumer = taker(client.subscribeToPersistentSubscriptionToAll('g', options));
    const first = await consumer.take(2);
    expect(first.map(({ event }) => event?.streamId)).toEqual(['large-1', 'large-3']);
    await consumer.subscription.ack(first[0] as never);
    expect((await consumer.take(1))[0]?.event?.streamId).toBe('large-2');
  });

  it('say how their consumers are doing', async () => {
    await client.appendToStream('s', saids(3));
    const settings = streamSettings({ startFrom: START, extraStatistics: true });
    await client.createPersistentSubscriptionToStream('s', 'g', settings);
    const consumer = taker(connect());
    const [first] = await consumer.take(3);
    await consumer.subscription.ack(first as never);
    await door.until(async () => {
      const { stats, connections, status } = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
      return (
        status === 'Live' &&
        stats.totalItems === 3n &&
        stats.totalInFlightMessages === 2 &&
        stats.lastKnownEventRevision === 2n &&
        connections[0]?.inFlightMessages === 2 &&
        connections[0].extraStatistics?.has('median') === true
      );
    });
  });
});

import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { credentials, Client, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import { GossipService } from '@eventstore/db-client/generated/gossip_grpc_pb';
import { MonitoringService } from '@eventstore/db-client/generated/monitoring_grpc_pb';
import { OperationsService } from '@eventstore/db-client/generated/operations_grpc_pb';
import { PersistentSubscriptionsService } from '@eventstore/db-client/generated/persistent_grpc_pb';
import { ProjectionsService } from '@eventstore/db-client/generated/projections_grpc_pb';
import { StreamsService } from '@eventstore/db-client/generated/streams_grpc_pb';
import { UsersService } from '@eventstore/db-client/generated/users_grpc_pb';
import {
  EventStoreDBClient,
  eventTypeFilter,
  isCommandError,
  jsonEvent,
  PersistentSubscriptionFailedError,
  persistentSubscriptionToStreamSettingsFromDefaults as settings,
  START,
  StreamNotFoundError,
  streamNameFilter,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { openTestDoor, type TestDoor } from '../support/grpc-door';
import { EventStoreProcess } from '../support/event-store-process';
import { confirmed, taker } from '../support/persistent-consumer';

const said = () => jsonEvent({ type: 'Said', data: {} });

const isTyped = (error: unknown): boolean => error instanceof Error && isCommandError(error);

async function count(read: AsyncIterable<ResolvedEvent>): Promise<number> {
  let events = 0;
  for await (const found of read) events += found.event === undefined ? 0 : 1;
  return events;
}

describe('what the gRPC door makes of bad input', () => {
  let door: TestDoor;
  let client: EventStoreDBClient;
  let after = 0n;
  beforeAll(async () => {
    door = await openTestDoor();
    client = door.client;
    await client.appendToStream('sound', [said(), said()]);
  });
  afterEach(async () => {
    // Unharmed, whatever it was.
    expect(await count(client.readStream('sound'))).toBe(2);
    expect(await client.appendToStream('after', said())).toMatchObject({ nextExpectedRevision: after++ });
  });
  afterAll(() => door.close());

  const methods = [
    StreamsService,
    PersistentSubscriptionsService,
    OperationsService,
    MonitoringService,
    GossipService,
    ProjectionsService,
    UsersService,
  ].flatMap((service) =>
    Object.values(service as unknown as Record<string, MethodDefinition<unknown, unknown>>),
  );
  // What takes an empty message takes any: its fields are all unknown to it.
  const taking = methods.filter(
    ({ path }) => !/Gossip|Shutdown|MergeIndexes|ResignNode|RestartP|RestartSub/.test(path),
  );

  it.each(taking.map((method) => [method.path, method] as const))(
    'bytes that are no message: %s',
    async (path, method) => {
      const raw = new Client(`127.0.0.1:${door.port}`, credentials.createInsecure());
      const garbage = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x7f, 0x01]);
      const failure = await new Promise<ServiceError>((resolve) => {
        const call = method.requestStream
          ? raw.makeBidiStreamRequest(
              path,
              () => garbage,
              (bytes) => bytes,
            )
          : raw.makeServerStreamRequest(
              path,
              () => garbage,
              (bytes) => bytes,
              {},
            );
        call.on('error', (error) => {
          resolve(error as ServiceError);
        });
        call.on('data', () => undefined);
        if (call instanceof Duplex) call.write({});
      });
      raw.close();
      expect(failure.code).toBeGreaterThan(0);
    },
  );

  describe.each([
    ['no name', ''],
    ['a name of 10 KB', 'x'.repeat(10_240)],
  ])('%s', (_name, stream) => {
    const group = settings({ startFrom: START });
    it.each<[string, () => Promise<unknown>]>([
      ['appends', () => client.appendToStream(stream, said())],
      [
        'one append',
        () => client.appendToStream(stream, said(), { credentials: { username: 'a', password: 'b' } }),
      ],
      ['reads', () => count(client.readStream(stream))],
      ['subscriptions', () => count(client.subscribeToStream(stream))],
      ['deletion', () => client.deleteStream(stream)],
      ['deletion for ever', () => client.tombstoneStream(stream)],
      ['settings', () => client.setStreamMetadata(stream, { maxCount: 1 })],
      ['a group', () => client.createPersistentSubscriptionToStream(stream, 'g', group)],
      ['a group’s name', () => client.createPersistentSubscriptionToStream('s', stream, group)],
      ['a consumer', () => taker(client.subscribeToPersistentSubscriptionToStream(stream, 'g')).take(1)],
      ['a group’s information', () => client.getPersistentSubscriptionToStreamInfo(stream, 'g')],
    ])('is refused for %s by a typed error', async (_what, attempt) => {
      const error: unknown = await attempt().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(isTyped(error)).toBe(true);
    });
  });

  it('the longest names of a stream and of a group of it are names, and one byte more is not', async () => {
    const [stream, group] = ['s'.repeat(4_096), 'g'.repeat(987)];
    await client.appendToStream(stream, said());
    await expect(client.appendToStream(`${stream}s`, said())).rejects.toThrow(/at most 4096 bytes/);
    const from = settings({ startFrom: START });
    await expect(client.createPersistentSubscriptionToStream(stream, `${group}g`, from)).rejects.toThrow(
      PersistentSubscriptionFailedError,
    );
    await client.createPersistentSubscriptionToStream(stream, group, from);
    const consumer = taker(client.subscribeToPersistentSubscriptionToStream(stream, group));
    const [message] = await consumer.take(1);
    expect(message?.event?.streamId).toBe(stream);
    if (message !== undefined) await consumer.subscription.nack('park', 'to see its stream', message);
    await door.until(
      async () => (await door.store.readStream(parkedOf(stream, group), { limit: 1 })).kind === 'events',
    );
    await consumer.subscription.unsubscribe();
    expect(await count(client.readStream(stream))).toBe(1);
    await client.deleteStream(stream);
    await expect(count(client.readStream(stream))).rejects.toThrow(StreamNotFoundError);
  });

  it('a stream nobody ever wrote to is not found', async () => {
    await expect(count(client.readStream('nowhere'))).rejects.toThrow(StreamNotFoundError);
    expect(await client.getStreamMetadata('nowhere')).toEqual({ streamName: 'nowhere' });
  });

  it.each([2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n])(
    'beyond everything (%s) there is nothing',
    async (far) => {
      expect(await count(client.readStream('sound', { fromRevision: far }))).toBe(0);
      expect(await count(client.readAll({ fromPosition: { commit: far, prepare: far } }))).toBe(0);
      const append = client.appendToStream('sound', said(), { expectedRevision: far });
      await expect(append).rejects.toMatchObject({ actualVersion: 1n });
      const subscription = client.subscribeToStream('sound', { fromRevision: far });
      await new Promise((resolve) => subscription.once('caughtUp' as 'confirmation', resolve));
      await subscription.unsubscribe();
    },
  );

  it.each([-1n, -(2n ** 70n)])('%s is no revision: it is refused, or beyond everything', async (negative) => {
    const fromPosition = { commit: negative, prepare: negative };
    for (const read of [
      () => count(client.readAll({ fromPosition })),
      // The client itself refuses this one, at once.
      async () => count(client.readStream('sound', { fromRevision: negative })),
    ]) {
      const outcome: unknown = await read().catch((error: unknown) => error);
      expect(isTyped(outcome) || outcome === 0 || outcome === 2).toBe(true);
    }
    await expect(client.appendToStream('sound', said(), { expectedRevision: negative })).rejects.toThrow();
  });

  it('an expression that tries one way after another is matched in one pass', async () => {
    // By trial and error it would take longer than anybody lives.
    await client.appendToStream(`${'a'.repeat(500)}b`, said());
    const filter = streamNameFilter({ regex: '^(a+)+$' });
    const subscription = client.subscribeToAll({ filter });
    await new Promise((resolve) => subscription.once('caughtUp' as 'confirmation', resolve));
    await subscription.unsubscribe();
  });

  it.each([
    ['broken', eventTypeFilter({ regex: '(' })],
    ['of 10 KB', eventTypeFilter({ regex: 'x'.repeat(10_240) })],
    ['a list of 10,000', streamNameFilter({ prefixes: Array.from({ length: 10_000 }, (_, n) => `p${n}`) })],
    ['empty', streamNameFilter({ prefixes: [] })],
  ])('a filter that is %s is refused by a typed error', async (_name, filter) => {
    await expect(count(client.subscribeToAll({ filter }))).rejects.toMatchObject({ code: 3 });
  });

  it('what an operator asks of a cluster’s node is refused, or done where there is something to do', async () => {
    const raw = new Client(`127.0.0.1:${door.port}`, credentials.createInsecure());
    const codeOf = (path: string): Promise<number> =>
      new Promise((resolve) => {
        const whole = (bytes: Buffer): Buffer => bytes;
        const about = `/event_store.client.${path}`;
        raw.makeUnaryRequest(about, whole, whole, Buffer.alloc(0), (error) => {
          resolve(error?.code ?? 0);
        });
      });
    expect(await codeOf('operations.Operations/Shutdown')).toBe(9);
    expect(await codeOf('operations.Operations/MergeIndexes')).toBe(0);
    expect(await codeOf('operations.Operations/StopScavenge')).toBe(5);
    expect(await codeOf('operations.Operations/StartScavenge')).toBe(0);
    expect(await codeOf('operations.Operations/RestartPersistentSubscriptions')).toBe(0);
    expect(await codeOf('users.Users/Create')).toBe(12);
    expect(await codeOf('projections.Projections/Create')).toBe(3);
    raw.close();
  });
});

const parkedOf = (stream: string, group: string): string =>
  `$persistentsubscription-${stream}::${group}-parked`;

describe('many subscriptions', () => {
  const SUBSCRIPTIONS = Number(process.env['SUBSCRIPTIONS'] ?? 1_000);
  /** Of the server's memory, for one that waits; measured: 48 KB each of 1,000, 24 KB each of 10,000. */
  const BYTES_EACH_MAX = 100_000;
  const TIMEOUT_MS = 120_000 + SUBSCRIPTIONS * 60;

  it(
    `${SUBSCRIPTIONS} of them wait in a bounded memory, and each gets what it waits for`,
    async () => {
      const server = await EventStoreProcess.start();
      const clients = Array.from({ length: Math.ceil(SUBSCRIPTIONS / 1_000) }, () =>
        EventStoreDBClient.connectionString(server.url),
      );
      try {
        const before = await server.memory();
        const subscriptions = Array.from({ length: SUBSCRIPTIONS }, (_, n) =>
          (clients[n % clients.length] as EventStoreDBClient).subscribeToStream(`quiet-${n}`),
        );
        await Promise.all(
          subscriptions.map(
            (one) => new Promise((resolve) => one.once('caughtUp' as 'confirmation', resolve)),
          ),
        );
        const each = ((await server.memory()) - before) / SUBSCRIPTIONS;
        process.stderr.write(
          `${Math.round(each)} bytes of the server's memory for each of ${SUBSCRIPTIONS}\n`,
        );
        expect(each).toBeLessThan(BYTES_EACH_MAX);
        const received = subscriptions.map(async (one) => once(one, 'data') as Promise<[ResolvedEvent]>);
        const writer = clients[0] as EventStoreDBClient;
        for (let n = 0; n < SUBSCRIPTIONS; n += 500) {
          const some = Array.from({ length: Math.min(500, SUBSCRIPTIONS - n) }, (_, i) => `quiet-${n + i}`);
          await Promise.all(some.map((stream) => writer.appendToStream(stream, said())));
        }
        const streams = (await Promise.all(received)).map(([{ event }]) => event?.streamId);
        expect(streams).toEqual(subscriptions.map((_, n) => `quiet-${n}`));
      } finally {
        await Promise.all(clients.map((client) => client.dispose()));
        await server.destroy();
      }
    },
    TIMEOUT_MS,
  );
});

it('so many groups, and so many consumers, and no more', async () => {
  const door = await openTestDoor({ groupsMax: 2, readsMax: 2 });
  const { client } = door;
  await client.createPersistentSubscriptionToStream('s', 'g', settings());
  await client.createPersistentSubscriptionToStream('s', 'h', settings());
  const third = client.createPersistentSubscriptionToStream('s', 'i', settings());
  await expect(third).rejects.toThrow(PersistentSubscriptionFailedError);
  const consume = () => taker(client.subscribeToPersistentSubscriptionToStream('s', 'g'));
  const consumers = [consume(), consume()];
  await Promise.all(consumers.map(({ subscription }) => confirmed(subscription)));
  await expect(consume().take(1)).rejects.toThrow(/2 consumers are connected/);
  await consumers[0]?.subscription.unsubscribe();
  await door.until(async () => {
    const { connections } = await client.getPersistentSubscriptionToStreamInfo('s', 'g');
    return connections.length === 1;
  });
  await confirmed(consume().subscription);
  await door.close();
});

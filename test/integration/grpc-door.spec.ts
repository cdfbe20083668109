import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import {
  AccessDeniedError,
  DeadlineExceededError,
  EventStoreDBClient,
  jsonEvent,
  binaryEvent,
  MaxAppendSizeExceededError,
  StreamDeletedError,
  StreamNotFoundError,
  UnavailableError,
  WrongExpectedVersionError,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb';
import { Empty, StreamIdentifier } from '@eventstore/db-client/generated/shared_pb';
import { DeleteReq, ReadReq, type ReadResp } from '@eventstore/db-client/generated/streams_pb';
import { openTestDoor, type TestDoor } from '../support/grpc-door';

const said = (data: Record<string, unknown> = { n: 1 }, type = 'Said') => jsonEvent({ type, data });
const saids = (count: number) => Array.from({ length: count }, (_, n) => said({ n }));
/** With these a client appends by the older call, of one append each. */
const CREDENTIALS = { credentials: { username: 'any', password: 'any' } };

async function all(read: AsyncIterable<ResolvedEvent>): Promise<number[]> {
  const revisions: number[] = [];
  for await (const { event } of read) revisions.push(Number(event?.revision));
  return revisions;
}

describe('the gRPC door', () => {
  let door: TestDoor;
  let client: EventStoreDBClient;
  beforeEach(async () => {
    door = await openTestDoor();
    client = door.client;
  });
  afterEach(() => door.close());

  it('says loudly that it is not protected', () => {
    expect(door.warnings).toEqual([expect.stringContaining('NOT protected')]);
  });

  describe.each([
    ['a stream of appends', {}],
    ['one append a call', CREDENTIALS],
  ])('by %s', (_name, how) => {
    it('stores and reads JSON and binary events with their metadata', async () => {
      const id = randomUUID();
      const json = jsonEvent({ id, type: 'Said', data: { text: 'ß😀' }, metadata: { by: 'ann' } });
      const binary = binaryEvent({ type: 'Drawn', data: Uint8Array.from([0, 255, 7]) });
      const result = await client.appendToStream('mixed-ß', [json, binary], how);
      expect(result).toMatchObject({ success: true, nextExpectedRevision: 1n });
      const events: ResolvedEvent[] = [];
      for await (const event of client.readStream('mixed-ß')) events.push(event);
      expect(events[0]?.event).toMatchObject({
        id,
        type: 'Said',
        data: { text: 'ß😀' },
        metadata: { by: 'ann' },
        streamId: 'mixed-ß',
        revision: 0n,
        isJson: true,
      });
      const drawn = events[1]?.event;
      expect(Buffer.from(drawn?.data as Uint8Array)).toEqual(Buffer.from([0, 255, 7]));
      expect(Math.abs((drawn?.created.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    });

    it.each(['no_stream', 5n] as const)(
      'refuses the wrong expected revision %s',
      async (expectedRevision) => {
        await client.appendToStream('taken', saids(2), how);
        const append = client.appendToStream('taken', said(), { expectedRevision, ...how });
        await expect(append).rejects.toThrow(WrongExpectedVersionError);
        await expect(append).rejects.toMatchObject({ streamName: 'taken', actualVersion: 1n });
        const missing = client.appendToStream('none', said(), { expectedRevision: 'stream_exists', ...how });
        await expect(missing).rejects.toMatchObject({ actualVersion: 'no_stream' });
      },
    );

    it('refuses a stream that was deleted for ever, and begins anew one that was only deleted', async () => {
      await client.appendToStream('gone', saids(2), how);
      await client.deleteStream('gone', { expectedRevision: 1n });
      await expect(all(client.readStream('gone'))).rejects.toThrow(StreamNotFoundError);
      expect(await client.appendToStream('gone', said(), how)).toMatchObject({ nextExpectedRevision: 2n });
      await client.tombstoneStream('gone');
      await expect(client.appendToStream('gone', said(), how)).rejects.toThrow(StreamDeletedError);
      await expect(all(client.readStream('gone'))).rejects.toThrow(StreamDeletedError);
      await expect(client.tombstoneStream('gone')).rejects.toThrow(StreamDeletedError);
    });

    it('refuses more than 1 MiB by its name, and goes on', async () => {
      const large = said({ text: 'x'.repeat(1_100_000) });
      const append = client.appendToStream('large', large, how);
      await expect(append).rejects.toThrow(MaxAppendSizeExceededError);
      await expect(append).rejects.toMatchObject({ maxAppendSize: 1_048_576 });
      const many = Array.from({ length: 12 }, () => said({ text: 'x'.repeat(900_000) }));
      await expect(client.appendToStream('large', many, how)).rejects.toThrow(MaxAppendSizeExceededError);
      expect(await client.appendToStream('large', said(), how)).toMatchObject({ nextExpectedRevision: 0n });
    });

    it.each(['', 'x'.repeat(10_240)])('refuses a name that cannot be (%#)', async (name) => {
      const before = door.store.head;
      const append = client.appendToStream(name, said(), how);
      await expect(append).rejects.toThrow(/a stream name has at/);
      expect(await client.appendToStream('sound', said(), how)).toMatchObject({ success: true });
      expect(door.store.head).toBe(before + 1);
    });

    it('takes a repeated append once', async () => {
      const events = saids(3);
      const first = await client.appendToStream('twice', events, { expectedRevision: 'no_stream', ...how });
      const again = await client.appendToStream('twice', events, { expectedRevision: 'no_stream', ...how });
      expect(again).toEqual(first);
      expect(await all(client.readStream('twice'))).toEqual([0, 1, 2]);
    });
  });

  it('deletes only at the expected revision', async () => {
    await client.appendToStream('kept', saids(2));
    const deletion = client.deleteStream('kept', { expectedRevision: 7n });
    await expect(deletion).rejects.toThrow(WrongExpectedVersionError);
    await expect(deletion).rejects.toMatchObject({ expectedVersion: 7n, actualVersion: 1n });
  });

  it('deletes nothing where there is nothing, and settings where there are but settings', async () => {
    await expect(client.deleteStream('nowhere')).rejects.toThrow(WrongExpectedVersionError);
    const expectedRevision = 'no_stream';
    await expect(client.deleteStream('nowhere', { expectedRevision })).rejects.toThrow(
      WrongExpectedVersionError,
    );
    await client.setStreamMetadata('settings-only', { cacheControl: 10 });
    await expect(client.deleteStream('settings-only', { expectedRevision })).resolves.toBeDefined();
  });

  it('tells all who are in the middle of something that it closes', async () => {
    const subscription = client.subscribeToStream('s');
    await once(subscription, 'confirmation');
    const failure = once(subscription, 'error') as Promise<[Error]>;
    await door.closeDoor();
    expect((await failure)[0]).toBeInstanceOf(UnavailableError);
  });

  it('does not store what comes after its deadline', async () => {
    const before = door.store.head;
    await expect(client.appendToStream('late', said(), { deadline: -5_000 })).rejects.toThrow(
      DeadlineExceededError,
    );
    expect(door.store.head).toBe(before);
  });

  it('keeps stream metadata', async () => {
    await client.appendToStream('short', saids(5));
    await client.setStreamMetadata('short', { maxCount: 2 });
    expect(await client.getStreamMetadata('short')).toMatchObject({ metadata: { maxCount: 2 } });
    expect(await all(client.readStream('short'))).toEqual([3, 4]);
  });

  it('reads a stream from anywhere, both ways', async () => {
    await client.appendToStream('long', saids(150));
    const read = (options: Parameters<EventStoreDBClient['readStream']>[1]) =>
      all(client.readStream('long', options));
    expect(await read({ maxCount: 130 })).toEqual(Array.from({ length: 130 }, (_, n) => n));
    expect(await read({ fromRevision: 148n })).toEqual([148, 149]);
    expect(await read({ direction: 'backwards', fromRevision: 'end', maxCount: 2 })).toEqual([149, 148]);
    expect(await read({ direction: 'backwards', fromRevision: 1n })).toEqual([1, 0]);
    expect(await read({ direction: 'backwards', fromRevision: 'start' })).toEqual([0]);
    expect(await read({ fromRevision: 2n ** 63n })).toEqual([]);
    await expect(all(client.readStream('nowhere'))).rejects.toThrow(StreamNotFoundError);
  });

  it('reads everything from anywhere, both ways', async () => {
    await client.appendToStream('a', saids(3));
    await client.appendToStream('b', saids(2));
    const read = async (options: Parameters<EventStoreDBClient['readAll']>[0]) => {
      const seen: string[] = [];
      for await (const { event } of client.readAll(options)) {
        if (event?.streamId.startsWith('$') !== true) seen.push(`${event?.streamId}${event?.revision}`);
      }
      return seen;
    };
    expect(await read({})).toEqual(['a0', 'a1', 'a2', 'b0', 'b1']);
    expect(await read({ direction: 'backwards', fromPosition: 'end', maxCount: 2 })).toEqual(['b1', 'b0']);
    const third = { commit: BigInt(door.first + 2), prepare: BigInt(door.first + 2) };
    expect(await read({ fromPosition: third })).toEqual(['a2', 'b0', 'b1']);
    expect(await read({ direction: 'backwards', fromPosition: third })).toEqual(['a1', 'a0']);
    expect(await read({ fromPosition: { commit: 2n ** 64n - 1n, prepare: 0n } })).toEqual([]);
  });

  describe('refuses a request that is none:', () => {
    const ended = (request: ReadReq): Promise<ServiceError> =>
      new Promise((resolve, reject) => {
        const raw = new StreamsClient(`127.0.0.1:${door.port}`, credentials.createInsecure());
        const call = raw.read(request, new Metadata());
        call.on('data', (message: ReadResp) => {
          reject(new Error(`answered: ${JSON.stringify(message.toObject())}`));
        });
        call.on('error', (error) => {
          raw.close();
          resolve(error as ServiceError);
        });
      });
    const options = () =>
      new ReadReq.Options()
        .setCount('10')
        .setStream(
          new ReadReq.Options.StreamOptions().setStreamIdentifier(
            new StreamIdentifier().setStreamName(Buffer.from('a')),
          ),
        );
    const filtered = (regex: string) =>
      options()
        .setAll(new ReadReq.Options.AllOptions().setStart(new Empty()))
        .setFilter(
          new ReadReq.Options.FilterOptions()
            .setMax(32)
            .setCheckpointintervalmultiplier(1)
            .setStreamIdentifier(new ReadReq.Options.FilterOptions.Expression().setRegex(regex)),
        );

    it.each<[string, () => ReadReq.Options | undefined]>([
      ['no options', () => undefined],
      ['neither stream nor $all', () => new ReadReq.Options().setCount('10')],
      ['neither count nor subscription', () => new ReadReq.Options().setStream(options().getStream())],
      [
        'a name that is not UTF-8',
        () => {
          const bad = new StreamIdentifier().setStreamName(Uint8Array.from([0xff, 0xfe]));
          return options().setStream(new ReadReq.Options.StreamOptions().setStreamIdentifier(bad));
        },
      ],
      ['an expression that is broken', () => filtered('(')],
      ['an expression that could take for ever', () => filtered('(a+)\\1')],
      ['an expression that is too long', () => filtered('a'.repeat(1_025))],
    ])('%s', async (_name, make) => {
      await client.appendToStream('a', said());
      const failure = await ended(new ReadReq().setOptions(make()));
      expect(failure).toMatchObject({ code: status.INVALID_ARGUMENT });
      expect(await all(client.readStream('a'))).toEqual([0]);
    });

    it('bytes that are no message', async () => {
      const raw = new StreamsClient(`127.0.0.1:${door.port}`, credentials.createInsecure());
      const failure = await new Promise<ServiceError>((resolve) => {
        raw
          .makeServerStreamRequest(
            '/event_store.client.streams.Streams/Read',
            () => Buffer.from([0x0a, 0xff, 0xff, 0xff]),
            (bytes) => bytes,
            {},
          )
          .on('error', (error) => {
            resolve(error as ServiceError);
          });
      });
      raw.close();
      expect(failure.code).toBeGreaterThan(0);
      expect(await client.appendToStream('a', said())).toMatchObject({ success: true });
    });
  });

  it('is found by a client that looks for a cluster', async () => {
    const cluster = EventStoreDBClient.connectionString(
      `esdb://127.0.0.1:${door.port},127.0.0.1:${door.port}?tls=false`,
    );
    expect(await cluster.appendToStream('found', said())).toMatchObject({ success: true });
    await cluster.dispose();
  });
});

describe('the gRPC door with accounts', () => {
  it('lets in who knows a password, and nobody else', async () => {
    const door = await openTestDoor({ accounts: { ann: { password: 'secret', groups: [] } } });
    // The client sends its credentials over TLS alone, so the header is written by hand.
    const raw = new StreamsClient(`127.0.0.1:${door.port}`, credentials.createInsecure());
    const deletion = new DeleteReq().setOptions(
      new DeleteReq.Options()
        .setAny(new Empty())
        .setStreamIdentifier(new StreamIdentifier().setStreamName(Buffer.from('a'))),
    );
    const codeWith = (account: string | undefined): Promise<number | undefined> =>
      new Promise((resolve) => {
        const metadata = new Metadata();
        if (account !== undefined) {
          metadata.set('authorization', `Basic ${Buffer.from(account).toString('base64')}`);
        }
        raw.delete(deletion, metadata, (error) => {
          resolve(error?.code);
        });
      });
    try {
      await expect(door.client.appendToStream('a', said())).rejects.toThrow(AccessDeniedError);
      const event = { id: randomUUID(), type: 'Said', isJson: true, data: '{}', metadata: '' };
      await door.store.append('a', [event], 'noStream');
      const before = door.store.head;
      expect(await codeWith(undefined)).toBe(status.PERMISSION_DENIED);
      expect(await codeWith('ann:wrong')).toBe(status.UNAUTHENTICATED);
      expect(door.store.head).toBe(before);
      expect(await codeWith('ann:secret')).toBeUndefined();
    } finally {
      raw.close();
      await door.close();
    }
  });
});

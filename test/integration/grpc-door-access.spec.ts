import { once, type EventEmitter } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AccessDeniedError,
  ANY,
  binaryEvent,
  EventStoreDBClient,
  jsonEvent,
  persistentSubscriptionToStreamSettingsFromDefaults as settings,
  START,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { readProtection } from '../../embedded/grpc/protection';
import { testCertificate } from '../support/certificate';
import { openTestDoor, type TestDoor } from '../support/grpc-door';
import { taker } from '../support/persistent-consumer';

const ACCOUNTS = {
  admin: { password: 'changeit', groups: ['$admins'] },
  ops: { password: 'changeit', groups: ['$ops'] },
  ann: { password: 'p@ss:word', groups: ['writers'] },
  bob: { password: 'secret', groups: [] },
};
type User = keyof typeof ACCOUNTS;

const PATIENCE_MS = 30_000;
const said = () => jsonEvent({ type: 'Said', data: {} });

async function events(read: AsyncIterable<ResolvedEvent>): Promise<ResolvedEvent[]> {
  const all: ResolvedEvent[] = [];
  for await (const event of read) all.push(event);
  return all;
}

describe('the gRPC door with a certificate and accounts', () => {
  let door: TestDoor;
  let authority: string;
  const clients = new Map<string, EventStoreDBClient>();

  const connect = (who: string): EventStoreDBClient => {
    const known = clients.get(who);
    if (known !== undefined) return known;
    const url = `esdb://${who}localhost:${door.port}?tls=true&tlsCAFile=${authority}`;
    const client = EventStoreDBClient.connectionString(url);
    clients.set(who, client);
    return client;
  };
  const as = (user: User): EventStoreDBClient =>
    connect(`${user}:${encodeURIComponent(ACCOUNTS[user].password)}@`);

  beforeAll(async () => {
    const { certificate, key, file } = await testCertificate();
    authority = encodeURIComponent(file);
    door = await openTestDoor({ tls: { certificate, key }, accounts: ACCOUNTS });
  });
  afterAll(async () => {
    for (const client of clients.values()) await client.dispose();
    await door.close();
  });

  it('has nothing to warn of', () => {
    expect(door.warnings).toEqual([]);
  });

  it('lets in who has a password, and nobody else', async () => {
    await expect(as('bob').appendToStream('open', said())).resolves.toMatchObject({ success: true });
    expect(await events(as('ann').readStream('open'))).toHaveLength(1);
    for (const who of ['', 'bob:wrong@', 'nobody:secret@']) {
      const stranger = connect(who);
      await expect(events(stranger.readStream('open'))).rejects.toThrow(AccessDeniedError);
      await expect(stranger.deleteStream('open')).rejects.toThrow(AccessDeniedError);
    }
    expect(await door.revisions('open')).toEqual([0]);
  });

  it('takes credentials of one call for that call', async () => {
    const credentials = { username: 'bob', password: 'secret' };
    await expect(connect('').appendToStream('once', said(), { credentials })).resolves.toMatchObject({
      success: true,
    });
    const wrong = { credentials: { username: 'bob', password: 'guessed' } };
    await expect(as('ann').appendToStream('once', said(), wrong)).rejects.toThrow(AccessDeniedError);
  });

  describe('obeys a stream’s access list:', () => {
    const acl = {
      readRoles: ['ann', 'bob'],
      writeRoles: ['writers'],
      deleteRoles: ['admin'],
      metaReadRoles: ['$admins'],
      metaWriteRoles: ['$admins'],
    };
    beforeAll(async () => {
      await as('admin').appendToStream('listed', said());
      await as('admin').setStreamMetadata('listed', { acl });
    });

    const refused: [string, (client: EventStoreDBClient) => Promise<unknown>][] = [
      ['append', (client) => client.appendToStream('listed', said())],
      [
        'append by itself',
        (client) =>
          client.appendToStream('listed', said(), { credentials: { username: 'bob', password: 'secret' } }),
      ],
      ['delete', (client) => client.deleteStream('listed')],
      ['delete for ever', (client) => client.tombstoneStream('listed')],
      ['read the settings of', (client) => client.getStreamMetadata('listed')],
      ['change the settings of', (client) => client.setStreamMetadata('listed', { maxCount: 1 })],
      ['read the log with', (client) => events(client.readAll({ maxCount: 1 }))],
      ['follow the log with', (client) => events(client.subscribeToAll())],
      ['read the system streams beside', (client) => events(client.readStream('$settings'))],
    ];

    it.each(refused)('who may only read does not %s it', async (_name, attempt) => {
      await expect(attempt(as('bob'))).rejects.toThrow(AccessDeniedError);
    });

    it('who may read reads, who may write writes, an administrator does everything', async () => {
      expect(await events(as('bob').readStream('listed'))).not.toEqual([]);
      await expect(as('ann').appendToStream('listed', said())).resolves.toMatchObject({ success: true });
      await expect(events(as('ops').readStream('listed'))).rejects.toThrow(AccessDeniedError);
      await expect(events(as('ops').subscribeToStream('listed'))).rejects.toThrow(AccessDeniedError);
      const { metadata } = await as('admin').getStreamMetadata('listed');
      expect(metadata?.acl).toEqual(acl);
      expect(await events(as('admin').readAll())).not.toEqual([]);
    });

    it('a link does not show what its reader may not see', async () => {
      await as('admin').appendToStream('links', binaryEvent({ type: '$>', data: Buffer.from('0@listed') }));
      const read = (user: User) => events(as(user).readStream('links', { resolveLinkTos: true }));
      expect((await read('bob'))[0]?.event?.streamId).toBe('listed');
      expect((await read('ops'))[0]?.event).toBeUndefined();
    });

    it('what a list does not say, the defaults of $settings do', async () => {
      const defaults = { $userStreamAcl: { $r: ['writers'], $w: ['writers'] } };
      await as('admin').appendToStream('$settings', jsonEvent({ type: '$settings', data: defaults }), {
        expectedRevision: ANY,
      });
      await as('ann').appendToStream('plain', said());
      await expect(events(as('bob').readStream('plain'))).rejects.toThrow(AccessDeniedError);
      expect(await events(as('bob').readStream('listed'))).not.toEqual([]);
      await door.store.deleteStream('$settings', 'any');
      expect(await events(as('bob').readStream('plain'))).toHaveLength(1);
    });
  });

  it('lets operators make groups and run the node, and readers consume', async () => {
    await as('admin').appendToStream('worked', said());
    const group = settings({ startFrom: START });
    for (const user of ['bob', 'ann'] as const) {
      const client = as(user);
      const create = client.createPersistentSubscriptionToStream('worked', 'g', group);
      await expect(create).rejects.toThrow(AccessDeniedError);
      await expect(client.listAllPersistentSubscriptions()).rejects.toThrow(AccessDeniedError);
      await expect(client.restartPersistentSubscriptionSubsystem()).rejects.toThrow(AccessDeniedError);
    }
    await as('ops').createPersistentSubscriptionToStream('worked', 'g', group);
    const consumer = taker(as('bob').subscribeToPersistentSubscriptionToStream('worked', 'g'));
    expect(await consumer.take(1)).toHaveLength(1);
    const { connections } = await as('ops').getPersistentSubscriptionToStreamInfo('worked', 'g');
    expect(connections.map(({ username }) => username)).toEqual(['bob']);
    await as('admin').setStreamMetadata('worked', { acl: { readRoles: ['ann'] } });
    const another = taker(as('bob').subscribeToPersistentSubscriptionToStream('worked', 'g'));
    await expect(another.take(1)).rejects.toThrow(AccessDeniedError);
  });
});

describe('access that changes while somebody reads', () => {
  let door: TestDoor;
  const clients: EventStoreDBClient[] = [];
  const as = async (user: User): Promise<EventStoreDBClient> => {
    const { file } = await testCertificate();
    const account = `${user}:${encodeURIComponent(ACCOUNTS[user].password)}`;
    const url = `esdb://${account}@localhost:${door.port}?tls=true&tlsCAFile=${encodeURIComponent(file)}`;
    const client = EventStoreDBClient.connectionString(url);
    clients.push(client);
    return client;
  };
  beforeEach(async () => {
    const { certificate, key } = await testCertificate();
    door = await openTestDoor({ tls: { certificate, key }, accounts: ACCOUNTS });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.dispose();
    await door.close();
  });

  /** One that goes on is told within the patience of a test, not by the end of the run's. */
  const failureOf = async (subscription: EventEmitter): Promise<[Error]> =>
    (await once(subscription, 'error', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Error];

  it('ends the subscriptions and the consumers of those who may no longer, and of nobody else', async () => {
    const [admin, ann, bob] = [await as('admin'), await as('ann'), await as('bob')];
    await admin.createPersistentSubscriptionToStream('s', 'g', settings({ startFrom: START }));
    const theirs = [bob.subscribeToStream('s'), bob.subscribeToPersistentSubscriptionToStream('s', 'g')];
    const others = [ann.subscribeToStream('s'), bob.subscribeToStream('other')];
    await Promise.all([...theirs, ...others].map(async (one) => once(one, 'confirmation')));
    const failures = Promise.all(theirs.map(failureOf));
    await admin.setStreamMetadata('s', { acl: { readRoles: ['ann'] } });
    for (const [error] of await failures) expect(error).toBeInstanceOf(AccessDeniedError);
    for (const [n, stream] of ['s', 'other'].entries()) {
      const received = once(others[n] as (typeof others)[0], 'data');
      await admin.appendToStream(stream, said());
      await received;
    }
  });

  it('does so, too, when the defaults for all streams change', async () => {
    const [admin, bob] = [await as('admin'), await as('bob')];
    const subscription = bob.subscribeToStream('s');
    await once(subscription, 'confirmation');
    const failure = failureOf(subscription);
    await admin.appendToStream(
      '$settings',
      jsonEvent({ type: '$settings', data: { $userStreamAcl: { $r: 'ann' } } }),
    );
    expect((await failure)[0]).toBeInstanceOf(AccessDeniedError);
  });

  it('shows a consumer what a link leads to only when it may read that', async () => {
    const [admin, bob] = [await as('admin'), await as('bob')];
    await admin.appendToStream('open', said());
    await admin.appendToStream('secret', said());
    await admin.setStreamMetadata('secret', { acl: { readRoles: ['ann'] } });
    for (const stream of ['secret', 'open']) {
      await admin.appendToStream('links', binaryEvent({ type: '$>', data: Buffer.from(`0@${stream}`) }));
    }
    const group = settings({ startFrom: START, resolveLinkTos: true });
    await admin.createPersistentSubscriptionToStream('links', 'g', group);
    const taken = await taker(bob.subscribeToPersistentSubscriptionToStream('links', 'g')).take(2);
    expect(taken.map(({ event, link }) => [event?.streamId, link?.streamId])).toEqual([
      [undefined, 'links'],
      ['open', 'links'],
    ]);
  });
});

describe('the files that protect the gRPC door', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-users-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const usersFile = async (text: string): Promise<string> => {
    const file = join(folder, `${Math.random()}.json`);
    await writeFile(file, text);
    return file;
  };

  it('are read', async () => {
    const { file: certificateFile, keyFile, certificate, key } = await testCertificate();
    const users = { ann: 'secret', bob: { password: 'x', groups: ['$ops'] } };
    const files = { host: 'h', certificateFile, keyFile, usersFile: await usersFile(JSON.stringify(users)) };
    expect(await readProtection(files)).toEqual({ host: 'h', tls: { certificate, key }, accounts: users });
    expect(await readProtection({ host: 'h' })).toEqual({ host: 'h' });
  });

  it.each([
    ['{', 'is no JSON'],
    ['[]', 'is no JSON object'],
    ['{}', 'has no users'],
    ['{"a:b": "c"}', 'has a user whose name'],
    ['{"ann": ""}', 'gives ann no password'],
    ['{"ann": {"groups": []}}', 'gives ann no password'],
    ['{"ann": {"password": "hidden", "groups": [1]}}', 'gives ann no password, or groups'],
  ])('are refused when they hold %s, without a word of what is in them', async (text, why) => {
    const reading = readProtection({ host: 'h', usersFile: await usersFile(text) });
    await expect(reading).rejects.toThrow(why);
    await expect(reading).rejects.not.toThrow('hidden');
  });
});

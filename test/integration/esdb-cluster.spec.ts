import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { StreamsService, type IStreamsServer } from '@eventstore/db-client/generated/streams_grpc_pb';
import { openGrpcDoor, type GrpcDoor } from '../../embedded/grpc/server';
import { EventLogUnavailable } from '../../src/application/ports/event-log';
import { EsdbEventLog, type EsdbOptions } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { newEvents } from '../contracts/event-log/fixture';
import { testCertificate } from '../support/certificate';
import { FaultProxy } from '../support/fault-proxy';
import { openTestDoor, type TestDoor } from '../support/grpc-door';
import { ResumingSubscriber } from '../support/resuming-subscriber';
import { eventually } from '../support/sdk-device';
import { freePort } from '../support/server-process';

/** A node that is a follower: it refuses what only the leader may do, and says who that is. */
async function openFollower(
  leaderPort: number,
): Promise<{ port: number; asked: () => number; close(): void }> {
  let asked = 0;
  const refuse = (call: { emit(name: 'error', error: object): unknown }): void => {
    asked += 1;
    const metadata = new Metadata();
    metadata.set('exception', 'not-leader');
    metadata.set('leader-endpoint-host', '127.0.0.1');
    metadata.set('leader-endpoint-port', String(leaderPort));
    call.emit('error', { code: status.NOT_FOUND, details: 'Leader info available', metadata });
  };
  const server = new Server();
  const unused = (): never => {
    throw new Error('only appends are asked of it');
  };
  const service: IStreamsServer = {
    ...{ read: unused, append: unused, delete: unused, tombstone: unused },
    batchAppend: refuse,
  };
  server.addService(StreamsService, service);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return {
    port,
    asked: () => asked,
    close: () => {
      server.forceShutdown();
    },
  };
}

describe('the adapter and a cluster', () => {
  let door: TestDoor;
  const logs: EsdbEventLog[] = [];
  const closers: (() => Promise<void> | void)[] = [];

  beforeEach(async () => {
    door = await openTestDoor();
  });
  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close();
    for (const close of closers.splice(0)) await close();
    await door.close();
  });

  const open = (connectionString: string, options: Partial<EsdbOptions> = {}): EsdbEventLog => {
    const log = new EsdbEventLog({ connectionString, ...options });
    logs.push(log);
    return log;
  };
  const another = async (port = 0): Promise<GrpcDoor> => {
    const made = await openGrpcDoor(door.store, { port, warn: () => undefined });
    closers.push(() => made.close());
    return made;
  };
  /** As the executor does: what certainly was not stored is handed over again. */
  const append = async (log: EsdbEventLog, stream: string): Promise<void> => {
    const events = newEvents(1);
    await eventually('a node', async () => {
      try {
        return (await log.append(stream, events, { expected: 'noStream' })).kind === 'appended';
      } catch {
        return false;
      }
    });
  };

  it.each([
    [
      'seeds of which one is dead',
      (port: number, dead: number) => `esdb://127.0.0.1:${dead},127.0.0.1:${port}`,
    ],
    ['a name to discover by', (port: number) => `esdb+discover://localhost:${port}`],
    ['the younger scheme', (port: number) => `kurrentdb+discover://localhost:${port}`],
  ])('finds its node by %s', async (_what, urlOf) => {
    const log = open(`${urlOf(door.port, await freePort())}?tls=false`);
    expect(await log.append('found', newEvents(2), { expected: 'noStream' })).toMatchObject({ revision: 1n });
    expect((await log.readAll({ limit: 10 })).events).toHaveLength(2);
  });

  it('goes on with another node when its own ends, and its subscribers where they were', async () => {
    const doors = [await another(), await another()];
    const ports = doors.map(({ port }) => port);
    const log = open(`esdb://${ports.map((port) => `127.0.0.1:${port}`).join()}?tls=false`);
    const subscriber = new ResumingSubscriber(log, { streamPrefixes: ['moved'] });
    let count = 0;
    const go = async (): Promise<void> => {
      await append(log, `moved-${count++}`);
      await eventually('what was appended', () => subscriber.events.length === count);
    };
    await go();
    // One after the other goes away and comes back, so that in any case the one in use does.
    for (const [n, port] of ports.entries()) {
      await doors[n]?.close();
      await go();
      doors[n] = await another(port);
      await go();
    }
    expect(subscriber.resumed).toBeGreaterThan(0);
    expect(subscriber.events.map(({ stream }) => stream)).toEqual(
      Array.from({ length: count }, (_, n) => `moved-${n}`),
    );
    await subscriber.stop();
  });

  it('is told by a follower who leads: nothing was written, and the next append goes there', async () => {
    const follower = await openFollower(door.port);
    closers.push(() => {
      follower.close();
    });
    const log = open(`esdb://127.0.0.1:${follower.port}?tls=false`);
    const events = newEvents(1);
    const before = door.store.head;
    await expect(log.append('led', events, { expected: 'noStream' })).rejects.toThrow(EventLogUnavailable);
    expect(door.store.head).toBe(before);
    expect(await log.append('led', events, { expected: 'noStream' })).toMatchObject({ kind: 'appended' });
    expect(follower.asked()).toBe(1);
    expect(door.store.head).toBe(before + 1);
  });

  it('says that no node is there, and finds one that comes', async () => {
    const [one, other] = [await freePort(), await freePort()];
    const log = open(`esdb://127.0.0.1:${one},127.0.0.1:${other}?tls=false`);
    await expect(log.head()).rejects.toThrow(EventLogUnavailable);
    await expect(log.append('early', newEvents(1), { expected: 'any' })).rejects.toThrow(EventLogUnavailable);
    await expect(log.subscribe({ after: 'start' })[Symbol.asyncIterator]().next()).rejects.toThrow(
      EventLogUnavailable,
    );
    await another(other);
    await append(log, 'late');
    expect((await log.readAll({ limit: 10 })).events.map(({ stream }) => stream)).toEqual(['late']);
  });

  it('does not wait for seeds that swallow what they are asked', async () => {
    const hole = await FaultProxy.open({ port: door.port });
    closers.push(() => hole.close());
    hole.blackHole.toServer = true;
    // Left to itself the client would ask each of them for a minute, ten times.
    const log = open(`esdb://127.0.0.1:${hole.port},localhost:${hole.port}?tls=false&gossipTimeout=60`, {
      openTimeoutMs: 200,
    });
    await expect(log.append('lost', newEvents(1), { expected: 'any' })).rejects.toThrow(EventLogUnavailable);
    await expect(log.head()).rejects.toThrow(EventLogUnavailable);
    hole.heal();
    // The connections that were begun in it would be waited for.
    hole.cut();
    await append(log, 'found');
  });
});

describe('the adapter and a server with TLS and accounts', () => {
  let door: TestDoor;
  let authority: string;

  beforeAll(async () => {
    const { certificate, key, file } = await testCertificate();
    authority = encodeURIComponent(file);
    door = await openTestDoor({ tls: { certificate, key }, accounts: { parley: 'p@ss:word' } });
  });
  afterAll(async () => {
    await door.close();
  });

  const attempt = async (connectionString: string): Promise<unknown> => {
    const log = new EsdbEventLog({ connectionString, openTimeoutMs: 2_000 });
    try {
      return await log.append('kept', newEvents(1), { expected: 'any' });
    } catch (error) {
      return error;
    } finally {
      await log.close();
    }
  };

  it('comes in with the authority and the password, escaped as URLs are', async () => {
    const url = `esdb://parley:p%40ss%3Aword@localhost:${door.port}?tls=true&tlsCAFile=${authority}`;
    expect(await attempt(url)).toMatchObject({ kind: 'appended' });
    expect(door.warnings).toEqual([]);
  });

  it.each([
    ['another password', `parley:guessed@`, true],
    ['no password', '', true],
    ['an authority that the client does not know', 'parley:p%40ss%3Aword@', false],
  ])('is unavailable, and stores nothing, with %s', async (_what, who, trusts) => {
    const before = door.store.head;
    const trust = trusts ? `&tlsCAFile=${authority}` : '';
    expect(await attempt(`esdb://${who}localhost:${door.port}?tls=true${trust}`)).toBeInstanceOf(
      EventLogUnavailable,
    );
    expect(door.store.head).toBe(before);
  });

  it('says at once that a certificate is not there', () => {
    const url = `esdb://localhost:${door.port}?tls=true&tlsCAFile=${encodeURIComponent('/no/such.pem')}`;
    expect(() => new EsdbEventLog({ connectionString: url })).toThrow(/certificate/);
  });
});

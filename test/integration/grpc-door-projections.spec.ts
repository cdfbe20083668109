import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  AccessDeniedError,
  binaryEvent,
  EventStoreDBClient,
  jsonEvent,
  NotFoundError,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { openGrpcDoor } from '../../embedded/grpc/server';
import { testCertificate } from '../support/certificate';
import { newEvent } from '../support/engine-events';
import { openTestDoor, type TestDoor } from '../support/grpc-door';

const said = (data: Record<string, unknown> = {}, type = 'Said', metadata?: Record<string, unknown>) =>
  jsonEvent({ type, data, ...(metadata === undefined ? {} : { metadata }) });

describe('projections by the gRPC door', () => {
  let door: TestDoor;
  let client: EventStoreDBClient;
  beforeEach(async () => {
    door = await openTestDoor();
    client = door.client;
  });
  afterEach(() => door.close());

  /** Data of a stream's events, links unfollowed. */
  const stored = async (stream: string): Promise<string[]> => {
    const page = await door.store.readStream(stream, { limit: 4_096 });
    return page.kind === 'events' ? page.events.map(({ data }) => data.toString()) : [];
  };
  const until = async (stream: string, count: number): Promise<string[]> => {
    await door.until(async () => (await stored(stream)).length >= count);
    return stored(stream);
  };

  it('are there from the first start on, and do not run before they are told to', async () => {
    const list = await client.listProjections();
    const names = ['$by_category', '$by_correlation_id', '$by_event_type', '$stream_by_category', '$streams'];
    expect(list.map(({ name }) => name).sort()).toEqual(names);
    expect(new Set(list.map(({ projectionStatus }) => projectionStatus))).toEqual(new Set(['Stopped']));
    await expect(client.getProjectionStatus('none')).rejects.toThrow(NotFoundError);
  });

  it('link events by category, type and correlation, and streams', async () => {
    for (const { name } of await client.listProjections()) await client.enableProjection(name);
    await client.appendToStream('room-1', [said(), said({}, 'Left', { $correlationId: 'c1' })]);
    await client.appendToStream('room-2', said());
    await client.appendToStream('plain', said());
    expect(await until('$ce-room', 3)).toEqual(['0@room-1', '1@room-1', '0@room-2']);
    expect(await until('$et-Said', 3)).toEqual(['0@room-1', '0@room-2', '0@plain']);
    expect(await until('$bc-c1', 1)).toEqual(['1@room-1']);
    expect(await until('$streams', 3)).toEqual(['0@room-1', '0@room-2', '0@plain']);
    expect(await until('$category-room', 2)).toEqual(['room-1', 'room-2']);
    const linked: ResolvedEvent[] = [];
    for await (const event of client.readStream('$ce-room', { resolveLinkTos: true })) linked.push(event);
    expect(linked.map(({ event, link }) => [event?.streamId, link?.streamId])).toEqual([
      ['room-1', '$ce-room'],
      ['room-1', '$ce-room'],
      ['room-2', '$ce-room'],
    ]);
    expect((linked[0]?.link?.metadata as { $causedBy?: string }).$causedBy).toBe(linked[0]?.event?.id);
  });

  it('link what has long names, and are not stopped by one that no stream can have', async () => {
    for (const name of ['$by_category', '$by_event_type', '$by_correlation_id'])
      await client.enableProjection(name);
    const [category, type] = ['c'.repeat(4_000), 't'.repeat(1_024)];
    await client.appendToStream(`${category}-1`, [
      said({}, type, { $correlationId: 'x'.repeat(6_000) }),
      said({}, type, { $correlationId: 'c1' }),
    ]);
    expect(await until(`$ce-${category}`, 2)).toEqual([`0@${category}-1`, `1@${category}-1`]);
    expect(await until(`$et-${type}`, 2)).toHaveLength(2);
    expect(await until('$bc-c1', 1)).toEqual([`1@${category}-1`]);
  });

  it('run programs: fold states, link and emit', async () => {
    const query = `
      fromCategory('room').partitionBy((event) => event.data.by).when({
        $init: () => ({ count: 0 }),
        Said(state, event) {
          state.count += 1;
          if (state.count === 2) emit('busy', 'Busy', { by: event.partition }, { why: 'two' });
        },
        $any(state, event) { linkTo('by-' + event.partition, event); },
      });`;
    await client.createProjection('busy', query, { emitEnabled: true });
    await client.appendToStream('room-1', [said({ by: 'ann' }), said({ by: 'bob' }), said({ by: 'ann' })]);
    await client.appendToStream('room-1', binaryEvent({ type: 'Picture', data: Buffer.from([1]) }));
    await client.appendToStream('hall-1', said({ by: 'ann' }));
    expect(await until('by-ann', 2)).toEqual(['0@room-1', '2@room-1']);
    expect(await until('busy', 1)).toEqual(['{"by":"ann"}']);
    await door.until(async () => (await client.getProjectionState('busy', { partition: 'ann' })) !== null);
    expect(await client.getProjectionState('busy', { partition: 'ann' })).toEqual({ count: 2 });
    expect((await client.getProjectionStatus('busy')).projectionStatus).toBe('Faulted');
    // The picture has no data: the program fails on it, and says so.
    expect((await client.getProjectionStatus('busy')).stateReason).toContain('by');
  });

  it.each([
    ['never ends', 'fromAll().when({ $any() { for (;;); } })', /interrupted/],
    ['fills the memory', 'fromAll().when({ $any() { new ArrayBuffer(1e8); } })', /memory|length/],
    [
      'calls itself',
      'fromAll().when({ $any() { const f = () => f() + 1; f(); } })',
      /stack|memory|thread|abort/i,
    ],
    ['looks for the process', 'fromAll().when({ $any() { return process.env; } })', /process/],
    ['writes more than it may', "fromAll().when({ $any() { for (;;) emit('a', 'b', {}); } })", /1,000/],
    ['has too large states', "fromAll().when({ $init: () => 'x'.repeat(1e6), $any() {} })", undefined],
  ])('stop one that %s, and go on serving', async (_what, query, reason) => {
    await client.createProjection('bad', query, { emitEnabled: true });
    const events = Array.from({ length: reason === undefined ? 1_100 : 1 }, () => said());
    await client.appendToStream('s', events);
    await door.until(async () => (await client.getProjectionStatus('bad')).projectionStatus === 'Faulted');
    const { stateReason } = await client.getProjectionStatus('bad');
    expect(stateReason).toMatch(reason ?? /states have more than/);
    expect(await client.appendToStream('s', said())).toMatchObject({ success: true });
  });

  it('refuse what is no program, a name that is taken, and to emit without leave', async () => {
    await expect(client.createProjection('p', 'fromAll(')).rejects.toThrow();
    await expect(client.createProjection('p', '1')).rejects.toThrow('source');
    await expect(client.createProjection('$p', 'fromAll()')).rejects.toThrow('name');
    await expect(client.createProjection('p', `fromAll();${' '.repeat(65_536)}`)).rejects.toThrow('65536');
    await client.createProjection('p', "fromAll().when({ $any(s, e) { linkTo('x', e); } })");
    await expect(client.createProjection('p', 'fromAll()')).rejects.toThrow('exists');
    await client.appendToStream('s', said());
    await door.until(async () =>
      (await client.getProjectionStatus('p')).stateReason.includes('may not emit'),
    );
  });

  it('are enabled, disabled, changed, begun anew and deleted', async () => {
    const link = (to: string): string => `fromStream('s').when({ $any(s, e) { linkTo('${to}', e); } })`;
    await client.appendToStream('s', [said(), said()]);
    await client.createProjection('p', link('one'), { emitEnabled: true });
    await until('one', 2);
    await client.disableProjection('p');
    expect((await client.getProjectionStatus('p')).projectionStatus).toBe('Stopped');
    await client.updateProjection('p', link('two'));
    await client.appendToStream('s', said());
    await client.enableProjection('p');
    expect(await until('two', 1)).toEqual(['2@s']);
    await client.resetProjection('p');
    expect((await until('two', 4)).slice(1)).toEqual(['0@s', '1@s', '2@s']);
    await expect(client.deleteProjection('p')).rejects.toThrow('disabled');
    await client.disableProjection('p');
    await client.deleteProjection('p', { deleteCheckpointStream: true });
    await expect(client.getProjectionStatus('p')).rejects.toThrow(NotFoundError);
    await client.createProjection('p', link('three'), { emitEnabled: true });
    expect(await until('three', 3)).toHaveLength(3);
  });

  it('go on where they were, and write nothing twice, also when nothing was remembered', async () => {
    const count =
      "fromAll().when({ $init: () => 0, $any: (state, e) => { linkTo('all', e); return state + 1; } })";
    await client.enableProjection('$by_category');
    await client.createProjection('count', count, { emitEnabled: true });
    await client.appendToStream('room-1', [said(), said()]);
    await until('$ce-room', 2);
    await until('all', 2);
    // Another door on the same store begins from what is in the log, as after a crash: the first has
    // remembered nothing yet.
    const other = await openGrpcDoor(door.store, { port: 0, warn: () => undefined });
    const others = EventStoreDBClient.connectionString(`esdb://127.0.0.1:${other.port}?tls=false`);
    await door.until(
      async () => (await others.getProjectionStatus('count')).eventsProcessedAfterRestart >= 2n,
    );
    expect(await others.getProjectionState('count')).toBe(2);
    expect(await stored('all')).toEqual(['0@room-1', '1@room-1']);
    expect(await stored('$ce-room')).toEqual(['0@room-1', '1@room-1']);
    await others.dispose();
    await other.close();
    expect((await stored('$projections-count-checkpoint')).at(-1)).toBe('[["",2]]');
  });
});

const PATIENCE_MS = 40_000;

describe('a projection that wrote and did not come to remember it', () => {
  const OUTPUTS = 400;
  const SOURCES = 30;
  /** More than the store knows the ids of after a restart. */
  const ALL = OUTPUTS * SOURCES;
  let path: string;
  let store: EmbeddedEventStore;

  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'parley-projection-'));
    store = await EmbeddedEventStore.open({ path });
  });
  afterEach(async () => {
    await store.close();
    await rm(path, { recursive: true, force: true });
  });

  const bigOutputs = `
    fromStream('s').when({
      $any(state, event) {
        for (let n = 0; n < ${OUTPUTS}; n++) emit('out', 'Out', { at: event.sequenceNumber + '/' + n });
      },
    });`;
  const placesIn = async (stream: string): Promise<readonly string[]> => {
    const places: string[] = [];
    for (let from = 0; ;) {
      const page = await store.readStream(stream, { from, limit: 4_096 });
      if (page.kind !== 'events') return places;
      places.push(...page.events.map(({ dataJson }) => (dataJson as { at: string }).at));
      if (!page.more) return places;
      from = places.length;
    }
  };
  const expected = Array.from({ length: SOURCES }, (_, s) =>
    Array.from({ length: OUTPUTS }, (_output, n) => `${s}/${n}`),
  ).flat();
  /** Serves projections until the one has nothing left to do; `work` comes first. */
  const serve = async (work: (client: EventStoreDBClient) => Promise<void>, upTo: number): Promise<void> => {
    const door = await openGrpcDoor(store, { port: 0, warn: () => undefined });
    const client = EventStoreDBClient.connectionString(`esdb://127.0.0.1:${door.port}?tls=false`);
    await work(client);
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { projectionStatus, position } = await client.getProjectionStatus('p');
      if (projectionStatus !== 'Running') throw new Error(projectionStatus);
      if (Date.now() > deadline) throw new Error(`it came to ${position} of ${upTo}`);
      if (Number(/^C:(\d+)/.exec(position)?.[1] ?? -1) >= upTo) break;
      await pause(20);
    }
    await client.dispose();
    await door.close();
  };
  const begin = async (client: EventStoreDBClient): Promise<void> => {
    await client.createProjection('p', bigOutputs, { emitEnabled: true });
  };

  it('writes nothing twice, also what the store no longer knows by its id', async () => {
    const sources = Array.from({ length: SOURCES }, () => newEvent());
    await store.append('s', sources, 'noStream');
    await serve(begin, SOURCES + ALL);
    expect(await placesIn('out')).toEqual(expected);
    // As if it had ended before: nothing that it remembered can be read.
    await store.setStreamMetadata('$projections-p-checkpoint', { $tb: 1_000_000 }, 'any');
    await store.close();
    store = await EmbeddedEventStore.open({ path });
    await serve(() => Promise.resolve(), SOURCES + ALL);
    expect(await placesIn('out')).toEqual(expected);
  });

  it.each([OUTPUTS - 1, OUTPUTS + 37])(
    'writes what is missing of an event when %d outputs are there',
    async (there) => {
      const sources = [newEvent(), newEvent()];
      await store.append('s', sources, 'noStream');
      await serve(begin, 2 * OUTPUTS);
      const whole = await store.readStream('out', { limit: 4_096 });
      if (whole.kind !== 'events') throw new Error(whole.kind);
      // The same log as it would be had the process been killed between two appends of these outputs.
      const log = await store.readAll({ limit: 4_096 });
      const kept = log.events.filter(
        ({ stream }) =>
          stream === 's' || (stream.startsWith('$projections') && !stream.endsWith('-checkpoint')),
      );
      await store.close();
      await rm(path, { recursive: true });
      store = await EmbeddedEventStore.open({ path });
      for (const event of kept) await store.append(event.stream, [event], 'any');
      await store.append('out', whole.events.slice(0, there), 'any');
      await serve(() => Promise.resolve(), 2 * OUTPUTS);
      expect(await placesIn('out')).toEqual(expected.slice(0, 2 * OUTPUTS));
    },
  );
});

describe('projections of a door with accounts', () => {
  it('are made by administrators, run by operators, and seen by nobody else', async () => {
    const { certificate, key, file } = await testCertificate();
    const accounts = {
      admin: 'changeit',
      ops: { password: 'changeit', groups: ['$ops'] },
      ann: { password: 'changeit', groups: [] },
    };
    const door = await openTestDoor({ tls: { certificate, key }, accounts });
    const as = (user: string): EventStoreDBClient =>
      EventStoreDBClient.connectionString(
        `esdb://${user}:changeit@localhost:${door.port}?tls=true&tlsCAFile=${encodeURIComponent(file)}`,
      );
    const [admin, ops, ann] = [as('admin'), as('ops'), as('ann')];
    await expect(ops.createProjection('p', 'fromAll()')).rejects.toThrow(AccessDeniedError);
    await admin.createProjection('p', 'fromAll()');
    await ops.disableProjection('p');
    await expect(ann.enableProjection('p')).rejects.toThrow(AccessDeniedError);
    await expect(ann.listProjections()).rejects.toThrow(AccessDeniedError);
    await expect(ann.getProjectionState('p')).rejects.toThrow(AccessDeniedError);
    for (const client of [admin, ops, ann]) await client.dispose();
    await door.close();
  });
});

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { copyLog, PAGE_EVENTS_MAX } from '../../tools/eventstore/copy/copy';
import { EngineSide } from '../../tools/eventstore/copy/engine-side';
import { ServerSide } from '../../tools/eventstore/copy/server-side';
import { OtherContent, type Side } from '../../tools/eventstore/copy/side';
import { verifyCopy } from '../../tools/eventstore/copy/verify-copy';
import { openGrpcDoor, type GrpcDoor } from '../../embedded/grpc/server';
import { EmbeddedEventLog } from '../../src/infrastructure/event-log/embedded/embedded-event-log';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { SteppedClock } from '../support/engine-events';
import { openTestDoor, type TestDoor } from '../support/grpc-door';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const THEN = Date.parse('2024-02-29T12:00:00.000Z');
const quiet = (): void => undefined;

/** Repeatable numbers below `max`. */
function randomFrom(seed: number): (max: number) => number {
  let state = seed + 1;
  return (max) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % max;
  };
}

type Kind = 'engine' | 'server';
const DIRECTIONS: readonly (readonly [Kind, Kind])[] = [
  ['engine', 'server'],
  ['server', 'engine'],
  ['server', 'server'],
];

describe(`copying a whole event store (SEED=${SEED})`, () => {
  const folders: string[] = [];
  const closers: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });

  const folder = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'parley-copy-'));
    folders.push(path);
    return join(path, 'events');
  };

  /** Streams with everything in them that a store can have. */
  const filled = async (path: string): Promise<void> => {
    const store = await EmbeddedEventStore.open({ path, clock: new SteppedClock(THEN) });
    const random = randomFrom(SEED);
    const write = async (stream: string, count: number, beginsAt = 0): Promise<void> => {
      const events = Array.from({ length: count }, (_, k) => beginsAt + k).map((n) => ({
        ...{ id: randomUUID(), type: `Type${n % 3}`, isJson: n % 4 !== 3 },
        data: n % 4 === 3 ? Buffer.from([0, 255, 128, n]) : `{"n":${n},"big":12345678901234567890}`,
        metadata: ['{"at":"2024"}', ' { "x": [1] } ', '', 'not json', '{}'][n % 5] ?? '',
      }));
      const outcome = await store.append(stream, events, 'any');
      expect(outcome.kind).toBe('appended');
    };
    const scatter = (count: number, over: number): Promise<unknown> => {
      const writes = Array.from({ length: count }, (_, n) =>
        write(`stream-${random(over)}`, 1 + random(5), n),
      );
      return Promise.all(writes);
    };
    await scatter(500, 40);
    await store.setStreamMetadata('stream-1', { $maxCount: 2 }, 'any');
    await write('snapshot-1', 1);
    await store.setStreamMetadata('snapshot-1', { $maxCount: 1 }, 'any');
    await Promise.all(Array.from({ length: 20 }, () => write('snapshot-1', 1)));
    await write('deleted', 3);
    await store.deleteStream('deleted', 'any');
    await write('born-again', 3);
    await store.deleteStream('born-again', 'any');
    await write('born-again', 2);
    await write('ended', 2);
    await store.tombstoneStream('ended', 'any');
    // What was to be forgotten is gone: revisions before what is left must not move.
    await store.scavenge();
    await scatter(100, 60);
    await store.close();
  };
  const open = async (kind: Kind, path: string): Promise<Side> => {
    if (kind === 'engine') {
      const side = await EngineSide.open(path);
      closers.push(() => side.close());
      return side;
    }
    const store = await EmbeddedEventStore.open({ path });
    closers.push(() => store.close());
    const door: GrpcDoor = await openGrpcDoor(store, { port: 0, warn: quiet });
    closers.push(() => door.close());
    const side = new ServerSide(`esdb://127.0.0.1:${door.port}?tls=false`);
    closers.push(() => side.close());
    return side;
  };
  const both = async (from: Kind, to: Kind): Promise<readonly [Side, Side]> => {
    const path = await folder();
    await filled(path);
    return [await open(from, path), await open(to, await folder())];
  };
  const verified = async (source: Side, target: Side, streamsMax?: number) => {
    const { until } = await copyLog(source, target, quiet);
    const options = { until, onProgress: quiet, ...(streamsMax === undefined ? {} : { streamsMax }) };
    return verifyCopy(source, target, options);
  };

  it.each(DIRECTIONS)('gives the %s’s streams to a %s: places, ids, bytes, settings', async (from, to) => {
    const [source, target] = await both(from, to);
    await source.setEpoch('the-epoch-of-the-log').catch(quiet);
    const verdict = await verified(source, target);
    expect(verdict).toMatchObject({ differences: [], differenceCount: 0 });
    expect(verdict.streams).toBeGreaterThan(50);
    expect(await target.epoch()).toBe('the-epoch-of-the-log');
    for (const stream of ['stream-1', 'stream-2', 'snapshot-1', 'deleted', 'born-again', 'ended']) {
      const [expected, found] = [
        await source.readStream(stream, 0n, 400),
        await target.readStream(stream, 0n, 400),
      ];
      expect(found.map(({ revision, id, type, isJson }) => [revision, id, type, isJson])).toEqual(
        expected.map(({ revision, id, type, isJson }) => [revision, id, type, isJson]),
      );
      expect(found.map(({ data }) => Buffer.from(data))).toEqual(
        expected.map(({ data }) => Buffer.from(data)),
      );
      expect(await target.lastRevision(stream)).toBe(await source.lastRevision(stream));
    }
  });

  it.each(['engine', 'server'] as const)('is the same log in other places: to a %s', async (to) => {
    const [store, other] = await Promise.all([1, 2].map(async () => openTestDoor()));
    if (store === undefined || other === undefined) throw new Error('no doors');
    for (const one of [store, other]) closers.push(() => one.close());
    const identityOf = async ({ port, store: engine }: TestDoor): Promise<readonly string[]> => {
      const log =
        to === 'engine'
          ? new EmbeddedEventLog(engine)
          : new EsdbEventLog({ connectionString: `esdb://127.0.0.1:${port}?tls=false` });
      const identity = [await log.epoch(), await log.numbering()];
      if (log instanceof EsdbEventLog) await log.close();
      return identity;
    };
    const [epoch, numbering] = await identityOf(store);
    const sides = [store, other].map(({ port }) => new ServerSide(`esdb://127.0.0.1:${port}?tls=false`));
    for (const side of sides) closers.push(() => side.close());
    if (to === 'engine') await other.store.setEpoch(epoch ?? '');
    else await copyLog(sides[0] as Side, sides[1] as Side, quiet);
    const [epochThere, numberingThere] = await identityOf(other);
    expect(epochThere).toBe(epoch);
    expect(numberingThere).not.toBe(numbering);
  });

  it('keeps when an event was first recorded, as data, over any number of copies', async () => {
    const [source, target] = await both('engine', 'engine');
    await copyLog(source, target, quiet);
    const third = await open('server', await folder());
    await copyLog(target, third, quiet);
    const metadata = async (side: Side): Promise<string[]> =>
      (await side.readStream('stream-2', 0n, 400)).map((event) => Buffer.from(event.metadata).toString());
    const told = '"firstRecordedAt":"2024-02-29T12:00:00.000Z"';
    expect(new Set(await metadata(third))).toEqual(
      new Set([`{"at":"2024",${told}}`, ` { "x": [1] ,${told}}`, `{${told}}`, 'not json']),
    );
    expect(await metadata(third)).toEqual(await metadata(target));
  });

  it('goes on where it was stopped, at any event, and repeats nothing', async () => {
    const path = await folder();
    await filled(path);
    const source = await open('engine', path);
    const targetPath = await folder();
    const random = randomFrom(SEED);
    for (let round = 0; round < 5; round++) {
      const target = await EngineSide.open(targetPath);
      const stopAfter = random(30);
      let appends = 0;
      const append = target.append.bind(target);
      target.append = (stream, events) => {
        if (appends++ === stopAfter) return Promise.reject(new Error('killed'));
        return append(stream, events);
      };
      await copyLog(source, target, quiet).catch((error: unknown) => {
        expect(String(error)).toBe('Error: killed');
      });
      await target.close();
    }
    const target = await open('engine', targetPath);
    const { until } = await copyLog(source, target, quiet);
    expect((await verifyCopy(source, target, { until, onProgress: quiet })).differences).toEqual([]);
    const read = jest.spyOn(source, 'read');
    expect((await copyLog(source, target, quiet)).events).toBe(0);
    // Not from the beginning: that may be days away.
    const [after] = read.mock.calls.at(-1) ?? [];
    expect(Number(after?.commit)).toBeGreaterThan(Number(await source.head()) - 3 * PAGE_EVENTS_MAX);
  });

  it('adds what the source got meanwhile', async () => {
    const path = await folder();
    await filled(path);
    const targetPath = await folder();
    const copied = async (): Promise<void> => {
      const [source, target] = [await EngineSide.open(path), await EngineSide.open(targetPath)];
      expect((await verified(source, target)).differences).toEqual([]);
      await target.close();
      await source.close();
    };
    await copied();
    const store = await EmbeddedEventStore.open({ path });
    await store.append(
      'stream-1',
      [{ id: randomUUID(), type: 'Late', isJson: true, data: '{}', metadata: '{}' }],
      'any',
    );
    await store.close();
    await copied();
  });

  it('refuses a target that holds other content, before it writes', async () => {
    const [source, target] = await both('engine', 'server');
    const foreign = {
      id: randomUUID(),
      type: 'Foreign',
      isJson: true,
      data: Buffer.from('{}'),
      metadata: Buffer.from('{}'),
    };
    const event = {
      ...foreign,
      stream: 'stream-1',
      revision: 0n,
      position: { commit: 0n, prepare: 0n },
      created: 0,
    };
    await target.append('stream-1', [event]);
    const before = await target.head();
    // In the source the first events of that stream cannot be read any more.
    await expect(copyLog(source, target, quiet)).rejects.toThrow(OtherContent);
    expect(await target.head()).toBe(before);
    const [empty, ahead] = await both('engine', 'server');
    await copyLog(empty, ahead, quiet);
    await ahead.append('of-its-own', [{ ...event, stream: 'of-its-own' }]);
    await expect(copyLog(empty, ahead, quiet)).rejects.toThrow(/the event 0 of of-its-own/);
  });

  it('finds in the verification what is not as it was', async () => {
    const [source, target] = await both('engine', 'engine');
    const { until } = await copyLog(source, target, quiet);
    const read = target.read.bind(target);
    const tampered = async (
      change: (event: Awaited<ReturnType<Side['readStream']>>[number]) => object | undefined,
    ) => {
      target.read = async function* (after) {
        for await (const event of read(after)) {
          const made = event.stream === 'stream-3' && event.revision === 1n ? change(event) : {};
          if (made !== undefined) yield { ...event, ...made };
        }
      };
      // Two streams at a time: many passes find the same.
      const verdict = await verifyCopy(source, target, { until, onProgress: quiet, streamsMax: 20 });
      target.read = read;
      return verdict.differences;
    };
    expect(await tampered(() => ({}))).toEqual([]);
    const differs = ['stream-3: its events are not those of the source'];
    expect(await tampered(({ data }) => ({ data: Buffer.concat([data, Buffer.from(' ')]) }))).toEqual(
      differs,
    );
    expect(await tampered(() => ({ metadata: Buffer.from('{}') }))).toEqual(differs);
    expect(await tampered(() => ({ id: randomUUID() }))).toEqual(differs);
    expect(await tampered(() => undefined)).toEqual(differs);
    const moved = await tampered(() => ({ stream: 'other' }));
    expect([...moved].sort()).toEqual(['other: the source does not have it', ...differs]);
  });
});

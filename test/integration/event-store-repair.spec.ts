import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkStore, DISAGREEMENTS_SHOWN_MAX } from '../../embedded/engine/check';
import { EngineError } from '../../embedded/engine/errors';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { repairStore } from '../../embedded/engine/repair';
import { newEvents } from '../support/engine-events';
import { putRows, removeRows, rowsOf } from '../support/lmdb-store';

const quiet = (): void => undefined;
const LONG = 'ä'.repeat(1_000);
const STREAMS = ['a', 'b', 'c', 'counted', 'deleted', 'again', 'ended', LONG];
const FLIPS = Number(process.env['FLIPS'] ?? 40);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** mulberry32. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

describe('the index of a store', () => {
  let folder: string;
  let whole: string;
  let path: string;
  let content: object;

  /** Everything a reader can be told. */
  const contentOf = async (at: string): Promise<object> => {
    const store = await EmbeddedEventStore.open({ path: at });
    try {
      const streams: unknown[] = [];
      for (const stream of STREAMS) {
        const page = await store.readStream(stream, { limit: 4_096 });
        const back = await store.readStream(stream, { limit: 3, direction: 'backwards' });
        streams.push([stream, shown(page), shown(back), await store.streamMetadata(stream)]);
      }
      const all = await store.readAll({ limit: 4_096 });
      return {
        streams,
        all: shown({ kind: 'events', ...all }),
        epoch: store.epoch,
        numbering: store.numbering,
      };
    } finally {
      await store.close();
    }
  };
  const shown = (
    page:
      | Awaited<ReturnType<EmbeddedEventStore['readStream']>>
      | { kind: 'events'; events: readonly { id: string; position: number; revision: number }[] },
  ): unknown =>
    page.kind === 'events'
      ? page.events.map(({ id, position, revision }) => [id, position, revision])
      : page.kind;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-repair-'));
    whole = join(folder, 'whole');
    const store = await EmbeddedEventStore.open({ path: whole, unindexedEventsMax: 30 });
    for (let n = 0; n < 20; n++)
      await Promise.all(STREAMS.map((stream) => store.append(stream, newEvents(2), 'any')));
    await store.setStreamMetadata('counted', { $maxCount: 3 }, 'any');
    await store.deleteStream('deleted', 'any');
    await store.deleteStream('again', 'any');
    await store.append('again', newEvents(2), 'any');
    await store.tombstoneStream('ended', 'any');
    for (let n = 0; n < 10; n++) await store.append('a', newEvents(8), 'any');
    expect((await store.scavenge()).removed).toBeGreaterThan(50);
    // Settings that the tables may not account for yet.
    await store.setStreamMetadata('b', { $maxCount: 30 }, 'any');
    await store.append('c', newEvents(5), 'any');
    await store.close();
    content = await contentOf(whole);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  beforeEach(async () => {
    path = join(folder, 'events');
    await mkdir(path);
    for (const name of ['data.mdb', 'made']) await cp(join(whole, name), join(path, name));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  const refusal = async (): Promise<string> => {
    const error: unknown = await checkStore(path, quiet).then(
      () => new Error('it was found whole'),
      (reason: unknown) => reason,
    );
    if (!(error instanceof EngineError)) throw error;
    expect(error.kind).toBe('corrupt');
    return error.message;
  };
  /** Afterwards it is as it was, and what was there is kept. */
  const repaired = async (): Promise<void> => {
    const before = await readFile(join(path, 'data.mdb'));
    const { kept } = await repairStore(path, quiet);
    expect(await readFile(kept)).toEqual(before);
    expect(await contentOf(path)).toEqual(content);
  };
  /** By stream and revision: what stands at its end. */
  const entry = async (n: number) => {
    const rows = await rowsOf(path, 'index');
    return rows.at(n) as (typeof rows)[number];
  };
  const row = async (stream: string) => {
    const rows = await rowsOf(path, 'streams');
    return rows.find(([key]) => key.toString() === stream) as (typeof rows)[number];
  };
  const changed = async (stream: string, change: object): Promise<void> => {
    const [key, value] = await row(stream);
    const json = { ...(JSON.parse(value.toString()) as object), ...change };
    await putRows(path, { streams: [[key, Buffer.from(JSON.stringify(json))]] });
  };

  it('is whole in a whole store', async () => {
    expect(await checkStore(path, quiet)).toMatchObject({ head: expect.any(Number) as number });
    await repaired();
  });

  it.each<[string, () => Promise<void>, RegExp]>([
    [
      'points elsewhere',
      async () => {
        const [[key], [, value]] = [await entry(7), await entry(9)];
        await putRows(path, { index: [[key, value]] });
      },
      /the index does not find the record at position \d+/,
    ],
    [
      'lacks an entry',
      async () => removeRows(path, 'index', [(await entry(12))[0]]),
      /the index does not find the record at position \d+/,
    ],
    [
      'has one too many',
      async () => {
        const [key, value] = await entry(-1);
        const next = Buffer.from(key);
        next[9] = (next[9] ?? 0) + 1;
        await putRows(path, { index: [[next, value]] });
      },
      /the index has revision \d+ of stream \d+ at position \d+, and the record there is another or none/,
    ],
    [
      'lacks a stream',
      async () => removeRows(path, 'streams', [(await row('a'))[0]]),
      /the index does not find the record/,
    ],
    [
      'has two streams of one number',
      async () => {
        const [, value] = await row('a');
        await putRows(path, { streams: [[Buffer.from('other'), value]] });
      },
      /has the number of another/,
    ],
    [
      'has a row that is no JSON',
      async () => putRows(path, { streams: [[Buffer.from('other'), Buffer.from('{"id":')]] }),
      /a stream's row is unreadable: \{"id":/,
    ],
    [
      'has other settings',
      async () => changed('counted', { maxCount: 4 }),
      /the stream counted has settings in its row that are not those of its metadata/,
    ],
    [
      'shows a deleted stream',
      async () => changed('deleted', { truncateBefore: 0 }),
      /the stream deleted has settings in its row/,
    ],
    [
      'hides a stream',
      async () => changed('a', { truncateBefore: 'deleted' }),
      /the stream a has settings in its row/,
    ],
    [
      'lost a tombstone',
      async () => changed('ended', { tombstone: undefined }),
      /the tombstone at position \d+ is not in its stream's row/,
    ],
    [
      'made one up',
      async () => changed('a', { tombstone: 3 }),
      /the stream a ends with a tombstone that is not there/,
    ],
  ])('that %s is found, and made anew', async (_, damage, message) => {
    await damage();
    const told = await refusal();
    expect(told).toMatch(message);
    expect(told).toContain('`npm run eventstore -- repair` makes the rest from them');
    await repaired();
  });

  it('that is gone is told in a few words', async () => {
    const rows = await rowsOf(path, 'index');
    await removeRows(
      path,
      'index',
      rows.map(([key]) => key),
    );
    const message = await refusal();
    expect(message.split('; ')).toHaveLength(DISAGREEMENTS_SHOWN_MAX + 1);
    expect(message).toMatch(/; and \d+ more\. The records are whole/);
    await repaired();
    const store = await EmbeddedEventStore.open({ path });
    expect(await store.append('c', newEvents(1), 44)).toMatchObject({ kind: 'appended', revision: 45 });
    await store.close();
  });

  it('is not made from records that are damaged', async () => {
    const [[key, record] = []] = await rowsOf(path, 'log');
    if (key === undefined || record === undefined) throw new Error('no record');
    record[50] = (record[50] ?? 0) ^ 1;
    await putRows(path, { log: [[key, record]] });
    const before = await readFile(join(path, 'data.mdb'));
    await expect(repairStore(path, quiet)).rejects.toMatchObject({ kind: 'corrupt' });
    expect(await readFile(join(path, 'data.mdb'))).toEqual(before);
    expect((await readdir(path)).filter((name) => name.includes('damaged'))).toEqual([]);
  });

  it(`is not damaged by any bit without its being found (SEED=${SEED})`, async () => {
    const random = randomOf(SEED);
    const file = join(path, 'data.mdb');
    const { size } = await stat(file);
    const good = await readFile(file);
    let found = 0;
    for (let flip = 0; flip < FLIPS; flip++) {
      const bad = Buffer.from(good);
      const at = random(size);
      bad[at] = (bad[at] ?? 0) ^ (1 << random(8));
      await writeFile(file, bad);
      try {
        await checkStore(path, quiet);
        expect([at, await contentOf(path)]).toEqual([at, content]);
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        found++;
      }
    }
    expect(found).toBeGreaterThan(FLIPS / 10);
  });
});

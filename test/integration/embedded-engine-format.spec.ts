import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { backupStore } from '../../embedded/engine/backup';
import { checkStore } from '../../embedded/engine/check';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { STREAM_NAME_BYTES_MAX, SYSTEM_NAME_BYTES_MAX } from '../../embedded/engine/stream-name';
import { newEvent, newEvents } from '../support/engine-events';
import { metaRow, putRows, rowsOf } from '../support/lmdb-store';

const quiet = (): void => undefined;
const EPOCH = '3f1c3a38-6c4e-4d8a-9d8e-0d5f3b2a1c00';
const CREATED = 1_700_000_000_000;

/** A record as the first version of the program wrote it, put together from what is written about it, byte by byte. */
function recordOf(event: {
  stream: string;
  type: string;
  revision: number;
  id: string;
  data: string;
}): Buffer {
  const strings = Buffer.from(event.stream + event.type + event.data);
  const record = Buffer.alloc(48 + strings.length);
  record[4] = 1;
  record[5] = 1;
  record.writeUInt16BE(event.stream.length, 6);
  record.writeUInt16BE(event.type.length, 8);
  record.writeDoubleBE(event.revision, 12);
  record.writeDoubleBE(CREATED, 20);
  record.write(event.id.replaceAll('-', ''), 28, 'hex');
  record.writeUInt32BE(event.data.length, 44);
  strings.copy(record, 48);
  record.writeUInt32BE(crc32(record.subarray(4)), 0);
  return record;
}
const placeOf = (position: number): Buffer => {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(position));
  return key;
};
const entryOf = (stream: number, revision: number): Buffer => {
  const key = Buffer.alloc(10);
  key.writeUInt32BE(stream, 0);
  key.writeUIntBE(revision, 4, 6);
  return key;
};

describe('the format of a store', () => {
  let folder: string;
  let path: string;
  let store: EmbeddedEventStore | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-format-'));
    path = join(folder, 'events');
  });
  afterEach(async () => {
    await store?.close();
    store = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  const opened = async (options = {}): Promise<EmbeddedEventStore> => {
    await store?.close();
    store = await EmbeddedEventStore.open({ path, ...options });
    return store;
  };
  const formatOf = async (at = path): Promise<string | undefined> => {
    const rows = await rowsOf(at, 'meta');
    return rows.find(([key]) => key.toString() === 'format')?.[1].toString();
  };
  const idsOf = async (stream: string): Promise<readonly string[]> => {
    const page = await (store as EmbeddedEventStore).readStream(stream, { limit: 100 });
    return page.kind === 'events' ? page.events.map(({ id }) => id) : [];
  };

  describe('of the first version', () => {
    const ids = Array.from({ length: 7 }, () => randomUUID());
    /** Two streams, one with settings; of the seven events the tables account for the first four. */
    const write = (): Promise<void> => {
      const events = [
        { stream: 'one', type: 'Said', revision: 0, data: '{"n":0}' },
        { stream: 'two', type: 'Said', revision: 0, data: '{"n":1}' },
        { stream: 'one', type: 'Said', revision: 1, data: '{"n":2}' },
        { stream: '$$two', type: '$metadata', revision: 0, data: '{"$maxCount":1}' },
        { stream: 'two', type: 'Said', revision: 1, data: '{"n":4}' },
        { stream: 'one', type: 'Said', revision: 2, data: '{"n":5}' },
        { stream: 'new', type: 'Said', revision: 0, data: '{"n":6}' },
      ];
      const log = events.map(
        (event, n) => [placeOf(n), recordOf({ ...event, id: ids[n] as string })] as const,
      );
      return putRows(path, {
        log,
        index: [
          [entryOf(0, 0), placeOf(0)],
          [entryOf(1, 0), placeOf(1)],
          [entryOf(0, 1), placeOf(2)],
          [entryOf(2, 0), placeOf(3)],
        ],
        streams: [
          metaRow('one', '{"id":0}'),
          metaRow('two', '{"id":1,"maxCount":1}'),
          metaRow('$$two', '{"id":2}'),
        ],
        // Without check sums.
        meta: [
          metaRow('format', '1'),
          metaRow('epoch', JSON.stringify(EPOCH)),
          metaRow('nextStreamId', '3'),
          metaRow('accountedBefore', '4'),
        ],
      });
    };

    it('is read, and written on, by this one', async () => {
      await write();
      const now = await opened();
      expect([now.epoch, now.head]).toEqual([EPOCH, 6]);
      const all = await now.readAll({ limit: 100 });
      expect(all.events.map(({ id, created }) => [id, created])).toEqual(ids.map((id) => [id, CREATED]));
      expect(await idsOf('one')).toEqual([ids[0], ids[2], ids[5]]);
      expect(await idsOf('two')).toEqual([ids[4]]);
      expect(await idsOf('new')).toEqual([ids[6]]);
      const repeated = await now.append('new', [{ ...newEvent(), id: ids[6] as string }], 'noStream');
      expect(repeated).toMatchObject({ kind: 'appended', revision: 0, repeated: true });
      const event = newEvent();
      expect(await now.append('one', [event], 2)).toMatchObject({ kind: 'appended', revision: 3 });
      await opened({ unindexedEventsMax: 0 });
      await store?.append('two', newEvents(1), 1);
      await opened();
      expect(await idsOf('one')).toEqual([ids[0], ids[2], ids[5], event.id]);
      expect(store?.epoch).toBe(EPOCH);
      await store?.close();
      store = undefined;
      expect(await formatOf()).toBe('2');
      expect(await checkStore(path, quiet)).toMatchObject({ events: 9, head: 8, epoch: EPOCH });
    });

    it('stays what it is when it is only looked at', async () => {
      await write();
      const to = join(folder, 'backup');
      expect(await backupStore(path, to, quiet)).toMatchObject({ events: 7, head: 6, epoch: EPOCH });
      expect([await formatOf(), await formatOf(to)]).toEqual(['1', '1']);
    });
  });

  it('of a later version is refused, and nothing is changed', async () => {
    await (await opened()).append('s', newEvents(3), 'any');
    await store?.close();
    store = undefined;
    for (const format of ['4', '1000', '"two"', '2.5e9']) {
      await putRows(path, { meta: [metaRow('format', format)] });
      const before = await readFile(join(path, 'data.mdb'));
      const message = expect.stringContaining('Start the version of this program that wrote it') as string;
      await expect(EmbeddedEventStore.open({ path })).rejects.toMatchObject({ kind: 'newerFormat', message });
      await expect(checkStore(path, quiet)).rejects.toMatchObject({ kind: 'newerFormat' });
      expect(await readFile(join(path, 'data.mdb'))).toEqual(before);
    }
    await putRows(path, { meta: [metaRow('format', '3')] });
    expect((await opened()).head).toBe(2);
  });

  describe('with long names of streams', () => {
    const long = (end: string, bytes = STREAM_NAME_BYTES_MAX): string => 'ö'.repeat(bytes / 2 - 1) + end;

    it('is another one, as soon as there is one, and not before', async () => {
      await (await opened()).append('x'.repeat(1_024), newEvents(1), 'noStream');
      await opened();
      await store?.close();
      expect(await formatOf()).toBe('2');
      await (await opened()).append('x'.repeat(1_025), newEvents(1), 'noStream');
      await store?.close();
      store = undefined;
      expect(await formatOf()).toBe('3');
    });

    it.each([0, 8_192])('finds them all, also after a restart, with %d events unindexed', async (max) => {
      await opened({ unindexedEventsMax: max });
      // Equal but for the last two bytes; longer than any key; with settings of their own.
      const names = [long('aa'), long('ab'), 'y'.repeat(1_979), 'y'.repeat(1_025), `$${'s'.repeat(5_000)}`];
      const given = names.map(() => newEvents(2));
      for (const [n, name] of names.entries()) await store?.append(name, given[n] ?? [], 'noStream');
      await store?.setStreamMetadata(long('ab'), { $maxCount: 1 }, 'noStream');
      for (let restart = 0; restart < 2; restart++) {
        for (const [n, name] of names.entries()) {
          const ids = (given[n] ?? []).map(({ id }) => id);
          expect(await idsOf(name)).toEqual(name === long('ab') ? ids.slice(1) : ids);
          expect(await store?.append(name, given[n] ?? [], 'any')).toMatchObject({ repeated: true });
          expect(await store?.append(name, newEvents(1), 'noStream')).toMatchObject({ actual: 1 });
        }
        expect(await idsOf(long('ac'))).toEqual([]);
        await opened({ unindexedEventsMax: max });
      }
      const pushed = store?.subscribeToStream(long('aa'), { after: -1 });
      expect((await pushed?.next())?.value).toMatchObject({ event: { stream: long('aa') } });
      await pushed?.return();
      await store?.deleteStream(long('aa'), 1);
      expect(await idsOf(long('aa'))).toEqual([]);
      expect(await store?.tombstoneStream(long('ab'), 1)).toMatchObject({ kind: 'appended' });
      expect(await store?.append(long('ab'), newEvents(1), 'any')).toEqual({ kind: 'streamDeleted' });
      await store?.close();
      store = undefined;
      expect(await checkStore(path, quiet)).toMatchObject({ events: 13 });
    });

    it('refuses longer ones by name', async () => {
      await opened();
      const invalid = { kind: 'invalid', message: expect.stringContaining('at most') as string };
      for (const name of ['x'.repeat(STREAM_NAME_BYTES_MAX + 1), `$${'x'.repeat(SYSTEM_NAME_BYTES_MAX)}`]) {
        await expect(store?.append(name, newEvents(1), 'any')).rejects.toMatchObject(invalid);
        await expect(store?.readStream(name, { limit: 1 })).rejects.toMatchObject(invalid);
        await expect(store?.setStreamMetadata(name, {}, 'any')).rejects.toMatchObject(invalid);
      }
      expect(store?.head).toBe(-1);
    });

    it('says so when the row that is found is of another stream', async () => {
      await (await opened({ unindexedEventsMax: 0 })).append(long('aa'), newEvents(1), 'noStream');
      await store?.close();
      store = undefined;
      const rows = await rowsOf(path, 'streams');
      const forged = rows.map(([key, row]) => {
        const { name, ...others } = JSON.parse(row.toString()) as { name: string };
        return [key, Buffer.from(JSON.stringify({ ...others, name: `${name}!` }))] as const;
      });
      expect(forged).toHaveLength(1);
      await putRows(path, { streams: forged });
      const again = await opened();
      await expect(again.readStream(long('aa'), { limit: 1 })).rejects.toMatchObject({ kind: 'corrupt' });
    });
  });
});

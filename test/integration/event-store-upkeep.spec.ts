import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backupStore } from '../../embedded/engine/backup';
import { checkStore } from '../../embedded/engine/check';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { beginEpoch } from '../../tools/eventstore/upkeep';
import { loadConfig } from '../../src/config/load-config';
import { newEvents } from '../support/engine-events';
import { openTestDoor } from '../support/grpc-door';

const quiet = (): void => undefined;
const STREAMS = 20;

describe('keeping the embedded event store', () => {
  let folder: string;
  let path: string;
  let store: EmbeddedEventStore;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-upkeep-'));
    path = join(folder, 'events');
    // So few that index entries are written, too.
    store = await EmbeddedEventStore.open({ path, unindexedEventsMax: 50 });
    await fill(20);
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  const fill = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) {
      const streams = Array.from({ length: STREAMS }, (_, k) => `stream-${k}`);
      await Promise.all(streams.map((stream) => store.append(stream, newEvents(2), 'any')));
    }
  };
  const idsOf = async (of: EmbeddedEventStore): Promise<readonly string[]> =>
    (await of.readAll({ limit: 4_096 })).events.map(({ id }) => id);
  const reopened = async (at: string): Promise<EmbeddedEventStore> => EmbeddedEventStore.open({ path: at });

  describe('a backup', () => {
    it('is a moment of the store, whole, while others write', async () => {
      const enough = new AbortController();
      const writer = (async () => {
        while (!enough.signal.aborted) await fill(1);
      })();
      const to = join(folder, 'backup');
      const content = await backupStore(path, to, quiet);
      enough.abort();
      await writer;
      expect(await readdir(to)).toEqual(['data.mdb']);
      expect(content).toMatchObject({ epoch: store.epoch, events: content.head + 1 });
      const copy = await reopened(to);
      const all = await idsOf(store);
      expect(content.head).toBeGreaterThanOrEqual(20 * STREAMS * 2 - 1);
      expect(await idsOf(copy)).toEqual(all.slice(0, content.head + 1));
      // It goes on as a store of its own.
      expect(await copy.append('stream-0', newEvents(1), 'streamExists')).toMatchObject({ kind: 'appended' });
      await copy.close();
    });

    it('overwrites nothing, and takes the place of one that was stopped half-way', async () => {
      const to = join(folder, 'backup');
      await cp(path, `${to}.partial`, { recursive: true, filter: (name) => !name.includes('.lock') });
      await backupStore(path, to, quiet);
      expect((await readdir(folder)).sort()).toEqual(['backup', 'events']);
      await expect(backupStore(path, to, quiet)).rejects.toMatchObject({ kind: 'invalid' });
    });

    it('is not made of a store that is damaged', async () => {
      await store.close();
      await flip(path, await placeOfRecord(path, 3));
      await expect(backupStore(path, join(folder, 'backup'), quiet)).rejects.toMatchObject({
        kind: 'corrupt',
      });
      expect(await readdir(folder)).not.toContain('backup');
    });
  });

  it('begins another epoch, for good, in either kind of store', async () => {
    const before = store.epoch;
    await store.close();
    const config = loadConfig({ DATA_DIR: folder });
    expect(await beginEpoch(config)).toContain(`${path} begins the epoch `);
    store = await reopened(path);
    const first = store.epoch;
    expect(first).not.toBe(before);
    await store.close();
    store = await reopened(path);
    expect(store.epoch).toBe(first);

    const door = await openTestDoor();
    const server = { ...config, eventStoreUrls: [`esdb://127.0.0.1:${door.port}?tls=false`] };
    const epochs: string[] = [];
    for (let n = 0; n < 3; n++) {
      const log = new EsdbEventLog({ connectionString: server.eventStoreUrls[0] as string });
      epochs.push(await log.epoch(), await log.epoch());
      await log.close();
      await beginEpoch({ ...server, eventStoreStreamPrefix: undefined });
    }
    expect(epochs).toEqual([0, 0, 2, 2, 4, 4].map((n) => epochs[n]));
    expect(new Set(epochs).size).toBe(3);
    await door.close();
  });

  describe('a damaged file', () => {
    const refusal = async (): Promise<Error> => {
      const error: unknown = await reopened(path).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!(error instanceof Error)) throw new Error('it was opened');
      return error;
    };
    /** It says what is wrong and what to do, and a second attempt finds the same: nothing was written. */
    const expectRefused = async (what: RegExp): Promise<void> => {
      const before = await readFile(join(path, 'data.mdb')).catch(() => undefined);
      const message = expect.stringMatching(what) as string;
      expect(await refusal()).toMatchObject({ kind: 'corrupt', message });
      expect((await refusal()).message).toContain('put a backup in its place');
      expect(await readFile(join(path, 'data.mdb')).catch(() => undefined)).toEqual(before);
    };
    const data = (): string => join(path, 'data.mdb');

    beforeEach(() => store.close());

    it.each([0.3, 0.6, 0.9])('is refused when it was cut to %d of its length', async (share) => {
      const { size } = await stat(data());
      const pages = Math.floor((size * share) / 4_096);
      await truncate(data(), pages * 4_096);
      await expectRefused(/was cut short: page \d+ is used, and it ends after \d+ bytes/);
      await truncate(data(), pages * 4_096 - 100);
      await expectRefused(/no whole number of pages/);
    });

    it('is refused when it is empty, or gone, and no new store is begun in silence', async () => {
      await truncate(data(), 0);
      await expectRefused(/its data file is gone or empty/);
      await rm(data());
      await expectRefused(/its data file is gone or empty/);
    });

    it('is refused when the record of the last commits is torn', async () => {
      const whole = await readFile(data());
      for (const at of [24, 4_096 + 152]) {
        const torn = Buffer.from(whole);
        torn[at] = (torn[at] ?? 0) ^ 1;
        await writeFile(data(), torn);
        await expectRefused(/the record of its last commits is unreadable \([01]\)/);
      }
      await writeFile(data(), Buffer.alloc(whole.length));
      await expectRefused(/the record of its last commits is unreadable/);
    });

    it('is refused when a bit of one of the last records has flipped', async () => {
      await flip(path, await placeOfRecord(path, 20 * STREAMS * 2 - 1));
      await expectRefused(/the record at position 799 is damaged/);
    });

    it('is refused when what it says of itself has changed', async () => {
      const whole = await readFile(data());
      const name = 'accountedBefore';
      // Older pages hold older values: whichever is in use is among them.
      for (let at = whole.indexOf(name); at !== -1; at = whole.indexOf(name, at + 1)) {
        const digit = at + name.length;
        whole[digit] = whole[digit] === 0x31 ? 0x32 : 0x31;
      }
      await writeFile(data(), whole);
      await expectRefused(/what the event store says of itself \(accountedBefore\) is damaged/);
    });

    it('is found by the check, wherever it is', async () => {
      expect(await checkStore(path, quiet)).toMatchObject({ events: 800, head: 799 });
      await flip(path, await placeOfRecord(path, 0));
      await expect(checkStore(path, quiet)).rejects.toMatchObject({
        kind: 'corrupt',
        message: 'the record at position 0 is damaged',
      });
    });
  });

  /** Where in the file the data of an event lies, by its id, in the page that is in use: the last one written. */
  const placeOfRecord = async (of: string, position: number): Promise<number> => {
    const reading = await reopened(of);
    const page = await reading.readAll({ after: position - 1, limit: 1 });
    const id = page.events[0]?.id ?? '';
    await reading.close();
    return (await readFile(join(of, 'data.mdb'))).lastIndexOf(Buffer.from(id.replaceAll('-', ''), 'hex'));
  };
  /** One bit, in every copy of the byte's surroundings that old pages may still hold. */
  const flip = async (of: string, at: number): Promise<void> => {
    const file = join(of, 'data.mdb');
    const bytes = await readFile(file);
    const around = Buffer.from(bytes.subarray(at, at + 16));
    for (let next = bytes.indexOf(around); next !== -1; next = bytes.indexOf(around, next + 1)) {
      bytes[next + 3] = (bytes[next + 3] ?? 0) ^ 4;
    }
    await writeFile(file, bytes);
  };
});

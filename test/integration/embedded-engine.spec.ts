import { mkdtemp, open as openFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open as openLmdb } from 'lmdb';
import { EngineError } from '../../embedded/engine/errors';
import { EmbeddedEventStore, type OpenOptions } from '../../embedded/engine/event-store';
import { FILTER_PREFIXES_MAX, FILTER_REGEX_LENGTH_MAX } from '../../embedded/engine/filter';
import { LIVE_EVENTS_MAX } from '../../embedded/engine/live-tail';
import { READ_EVENTS_MAX, SCANNED_RECORDS_MAX } from '../../embedded/engine/reader';
import { TOMBSTONE_TYPE } from '../../embedded/engine/record';
import { STREAM_NAME_BYTES_MAX } from '../../embedded/engine/stream-name';
import type { SubscriptionItem } from '../../embedded/engine/subscription';
import { WAITING_APPENDS_MAX } from '../../embedded/engine/writer';
import { InstanceRunning } from '../../embedded/instance-lock';
import { newEvent, newEvents, SteppedClock } from '../support/engine-events';

describe('EmbeddedEventStore', () => {
  let path: string;
  let store: EmbeddedEventStore;
  const clock = new SteppedClock(1_000_000);

  const reopen = async (options: Partial<OpenOptions> = {}): Promise<void> => {
    await store.close();
    store = await EmbeddedEventStore.open({ path, clock, ...options });
  };
  const revisions = async (stream: string): Promise<readonly number[] | string> => {
    const page = await store.readStream(stream, { limit: 4_096 });
    return page.kind === 'events' ? page.events.map(({ revision }) => revision) : page.kind;
  };

  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'parley-engine-'));
    store = await EmbeddedEventStore.open({ path, clock });
  });

  afterEach(async () => {
    await store.close();
    await rm(path, { recursive: true, force: true });
  });

  describe('what waits to be indexed', () => {
    it.each([0, 1, 100, 1_000_000])('is there before and after a restart (at most %d)', async (max) => {
      await reopen({ unindexedEventsMax: max });
      for (let round = 0; round < 40; round++) {
        const appends = Array.from({ length: 50 }, (_, n) =>
          store.append(`s${(n * (round + 1)) % 60}`, newEvents(1 + (n % 3)), 'any'),
        );
        await Promise.all(appends);
      }
      await store.setStreamMetadata('s1', { $maxCount: 5 }, 'any');
      await store.setStreamMetadata('only-metadata', { $tb: 3 }, 'any');
      const streams = Array.from({ length: 60 }, (_, n) => `s${n}`);
      const before = await Promise.all(streams.map(revisions));
      const page = await store.readAll({ limit: 4_096 });
      await reopen({ unindexedEventsMax: max });
      expect(await Promise.all(streams.map(revisions))).toEqual(before);
      expect(before[1]).toHaveLength(5);
      before
        .filter((_, n) => n !== 1)
        .forEach((found) => {
          expect(typeof found === 'string' ? found : found.map((revision) => revision)).toEqual(
            typeof found === 'string' ? 'streamNotFound' : found.map((_, n) => n),
          );
        });
      expect((await store.readAll({ limit: 4_096 })).events.map(({ id }) => id)).toEqual(
        page.events.map(({ id }) => id),
      );
      // Every stream goes on where it was.
      const last = before[2] as readonly number[];
      expect(await store.append('s2', newEvents(1), last.length - 1)).toMatchObject({
        revision: last.length,
      });
      expect(await store.append('only-metadata', newEvents(1), 'noStream')).toMatchObject({ revision: 0 });
      expect((await store.streamMetadata('only-metadata'))?.metadata).toEqual({ $tb: 3 });
    });
  });

  describe('an append repeated without an expected revision', () => {
    it.each(['at once', 'later', 'after a restart'])('is recognised %s', async (when) => {
      const events = newEvents(3);
      const first = store.append('s', events, 'any');
      if (when !== 'at once') await first;
      if (when === 'after a restart') await reopen();
      const second = await store.append('s', events, 'any');
      expect(second).toMatchObject({ kind: 'appended', revision: 2, repeated: true });
      expect((await first).kind).toBe('appended');
      expect(await revisions('s')).toEqual([0, 1, 2]);
    });

    it('is refused when only a part of it is known', async () => {
      const events = newEvents(2);
      await store.append('s', events.slice(0, 1), 'any');
      expect(await store.append('s', events, 'any')).toEqual({ kind: 'wrongExpectedRevision', actual: 0 });
      expect(await revisions('s')).toEqual([0]);
    });

    it('is another append in another stream', async () => {
      const events = newEvents(1);
      await store.append('s', events, 'any');
      expect(await store.append('t', events, 'any')).toMatchObject({ revision: 0, repeated: false });
    });
  });

  describe('settings of a stream', () => {
    it('$tb hides what is before it', async () => {
      await store.append('s', newEvents(6), 'noStream');
      await store.setStreamMetadata('s', { $tb: 4 }, 'noStream');
      expect(await store.readStream('s', { limit: 10 })).toMatchObject({ truncatedBefore: 4, more: false });
      expect(await revisions('s')).toEqual([4, 5]);
      expect(await store.readStream('s', { limit: 10, from: 2, direction: 'backwards' })).toMatchObject({
        events: [],
        truncatedBefore: 4,
      });
    });

    it('$maxAge hides what is too old, as time passes', async () => {
      for (let n = 0; n < 5; n++) {
        clock.time = 1_000_000 + n * 1_000;
        await store.append('s', newEvents(1), 'any');
      }
      await store.setStreamMetadata('s', { $maxAge: 2 }, 'noStream');
      expect(await revisions('s')).toEqual([2, 3, 4]);
      clock.time += 1_500;
      expect(await revisions('s')).toEqual([4]);
      clock.time += 60_000;
      expect(await revisions('s')).toEqual([]);
    });

    it('are the last ones set, and expect a revision like any append', async () => {
      await store.append('s', newEvents(6), 'noStream');
      await store.setStreamMetadata('s', { $maxCount: 1 }, 'noStream');
      const second = await store.setStreamMetadata('s', { $maxCount: 2, $acl: { $r: 'ann' } }, 0);
      expect(second).toMatchObject({ kind: 'appended', revision: 1 });
      expect(await store.setStreamMetadata('s', {}, 0)).toMatchObject({ kind: 'wrongExpectedRevision' });
      expect(await revisions('s')).toEqual([4, 5]);
      expect(await store.streamMetadata('s')).toEqual({
        metadata: { $maxCount: 2, $acl: { $r: 'ann' } },
        revision: 1,
      });
    });

    it.each(['x', -1, 0, 1.5, null, {}])('that make no sense are none: $maxCount %j', async (value) => {
      await store.append('s', newEvents(3), 'noStream');
      await store.setStreamMetadata('s', { $maxCount: value }, 'any');
      expect(await revisions('s')).toEqual([0, 1, 2]);
    });
  });

  describe('deleting', () => {
    it('makes a stream not there, until it is appended to', async () => {
      await store.append('s', newEvents(3), 'noStream');
      expect(await store.deleteStream('s', 1)).toEqual({ kind: 'wrongExpectedRevision', actual: 2 });
      expect(await store.deleteStream('s', 2)).toMatchObject({ kind: 'appended' });
      expect(await revisions('s')).toBe('streamNotFound');
      expect(await store.append('s', newEvents(1), 'streamExists')).toEqual({
        kind: 'wrongExpectedRevision',
        actual: undefined,
      });
      await reopen();
      expect(await revisions('s')).toBe('streamNotFound');
      expect(await store.append('s', newEvents(2), 'noStream')).toMatchObject({ revision: 4 });
      expect(await revisions('s')).toEqual([3, 4]);
    });

    it('for ever refuses everything from then on', async () => {
      await store.append('s', newEvents(3), 'noStream');
      expect(await store.tombstoneStream('s', 2)).toMatchObject({ kind: 'appended' });
      await reopen({ unindexedEventsMax: 0 });
      expect(await revisions('s')).toBe('streamDeleted');
      expect(await store.append('s', newEvents(1), 'any')).toEqual({ kind: 'streamDeleted' });
      expect(await store.deleteStream('s', 'any')).toEqual({ kind: 'streamDeleted' });
      const all = await store.readAll({ limit: 10 });
      expect(all.events.map(({ type }) => type)).toEqual(['Tested', 'Tested', 'Tested', TOMBSTONE_TYPE]);
    });
  });

  describe('scavenging', () => {
    it('removes what cannot be read, and moves nothing', async () => {
      await reopen({ unindexedEventsMax: 0 });
      for (const stream of ['counted', 'deleted', 'buried', 'whole']) {
        await store.append(stream, newEvents(10), 'noStream');
      }
      await store.setStreamMetadata('counted', { $maxCount: 3 }, 'any');
      await store.deleteStream('deleted', 'any');
      await store.tombstoneStream('buried', 'any');
      await store.append('other', newEvents(1), 'any');
      const before = await store.readAll({ limit: 100 });
      const result = await store.scavenge();
      // 7 of counted, and all but the last event of the two deleted ones.
      expect(result.removed).toBe(7 + 9 + 9);
      const after = await store.readAll({ limit: 100 });
      expect(after.events).toHaveLength(before.events.length - result.removed);
      const positions = new Map(before.events.map(({ id, position }) => [id, position]));
      for (const { id, position } of after.events) expect(position).toBe(positions.get(id));
      const check = async (): Promise<void> => {
        expect(await revisions('counted')).toEqual([7, 8, 9]);
        expect(await revisions('whole')).toHaveLength(10);
        expect(await revisions('buried')).toBe('streamDeleted');
        expect(await revisions('deleted')).toBe('streamNotFound');
      };
      await check();
      await reopen({ unindexedEventsMax: 0 });
      await check();
      expect(await store.append('deleted', newEvents(1), 'noStream')).toMatchObject({ revision: 10 });
      expect(await store.append('counted', newEvents(1), 9)).toMatchObject({ revision: 10 });
      // Their last events of then, and the settings that the revival replaced.
      expect((await store.scavenge()).removed).toBe(3);
    });
  });

  describe('reading the whole log', () => {
    beforeEach(async () => {
      await store.append('ab-1', [newEvent('Said'), newEvent('Heard')], 'any');
      await store.append('ab-2', [newEvent('Said')], 'any');
      await store.append('b-1', [newEvent('Unsaid')], 'any');
    });

    it.each([
      [{ streamPrefixes: ['ab'] }, [0, 1, 2]],
      [{ streamPrefixes: ['b-', 'ab-2'] }, [2, 3]],
      [{ eventTypePrefixes: ['Said', 'H'] }, [0, 1, 2]],
      [{ streamRegex: 'b-1$' }, [0, 1, 3]],
      [{ eventTypeRegex: '^(Un)?[sS]aid$' }, [0, 2, 3]],
      [{}, [0, 1, 2, 3]],
    ])('takes %j', async (filter, positions) => {
      const forwards = await store.readAll({ limit: 10, filter });
      expect(forwards.events.map(({ position }) => position)).toEqual(positions);
      const backwards = await store.readAll({ limit: 10, filter, direction: 'backwards' });
      expect(backwards.events.map(({ position }) => position)).toEqual(positions.toReversed());
    });

    it.each([
      { streamRegex: '(' },
      { eventTypeRegex: '['.repeat(10) },
      { streamRegex: 'x'.repeat(FILTER_REGEX_LENGTH_MAX + 1) },
      { streamPrefixes: Array.from({ length: FILTER_PREFIXES_MAX + 1 }, () => 'x') },
      { streamPrefixes: ['a'], eventTypePrefixes: ['b'] },
    ])('refuses a filter that makes no sense', async (filter) => {
      await expect(store.readAll({ limit: 10, filter })).rejects.toMatchObject({ kind: 'invalid' });
      expect(() => store.subscribeToAll({ after: -1, filter })).toThrow(EngineError);
    });

    it('takes filters up to their limits, and pages', async () => {
      const filters = [
        { streamRegex: 'x'.repeat(FILTER_REGEX_LENGTH_MAX) },
        { streamPrefixes: Array.from({ length: FILTER_PREFIXES_MAX }, () => 'x') },
      ];
      for (const filter of filters) {
        expect(await store.readAll({ limit: READ_EVENTS_MAX, filter })).toEqual({
          events: [],
          next: 3,
          endOfLog: true,
        });
      }
      await expect(store.readAll({ limit: READ_EVENTS_MAX + 1 })).rejects.toMatchObject({ kind: 'invalid' });
      await expect(store.readAll({ limit: 0 })).rejects.toMatchObject({ kind: 'invalid' });
    });

    it('looks at so many records at a time, and says how far it came', async () => {
      for (let n = 0; n < SCANNED_RECORDS_MAX; n += 1_024) await store.append('s', newEvents(1_024), 'any');
      const filter = { streamPrefixes: ['nothing'] };
      const first = await store.readAll({ limit: 1, filter });
      expect(first).toEqual({ events: [], next: SCANNED_RECORDS_MAX - 1, endOfLog: false });
      const second = await store.readAll({ limit: 1, filter, after: first.next });
      expect(second).toEqual({ events: [], next: SCANNED_RECORDS_MAX + 3, endOfLog: true });
      const back = await store.readAll({ limit: 1, filter, direction: 'backwards' });
      expect(back).toEqual({ events: [], next: 4, endOfLog: false });
      const rest = await store.readAll({ limit: 9, direction: 'backwards', after: back.next });
      expect(rest.events.map(({ position }) => position)).toEqual([3, 2, 1, 0]);
      expect(rest.endOfLog).toBe(true);
    });

    it('from beyond the end gives what comes next', async () => {
      const page = await store.readAll({ limit: 10, after: Number.MAX_SAFE_INTEGER });
      expect(page).toEqual({ events: [], next: 3, endOfLog: true });
    });
  });

  describe('subscribing', () => {
    it('follows from memory and, when slow, from the store, without loss', async () => {
      const total = Math.ceil((LIVE_EVENTS_MAX * 2) / 50) * 50;
      const items = store.subscribeToAll({ after: 'end' });
      const first = await items.next();
      expect(first.value).toEqual({ kind: 'caughtUp', position: -1 });
      for (let n = 0; n < total; n += 50) await store.append('s', newEvents(50), 'any');
      const seen: SubscriptionItem[] = [];
      let count = 0;
      while (count < total) {
        const next = await items.next();
        if (next.done === true) throw new Error('ended');
        seen.push(next.value);
        if (next.value.kind === 'event') expect(next.value.event.position).toBe(count++);
      }
      expect((await items.next()).value).toMatchObject({ kind: 'caughtUp' });
      expect(seen.filter(({ kind }) => kind === 'checkpoint')).toEqual([]);
      await items.return();
    });

    it('hands over the very objects that were appended, while they are recent', async () => {
      const data = { text: 'hi' };
      const items = store.subscribeToAll({ after: 'end' });
      await items.next();
      const pushed = items.next();
      await store.append('s', [{ ...newEvent(), parsed: { data, metadata: undefined } }], 'any');
      const { value } = await pushed;
      expect(value?.kind === 'event' && value.event.dataJson).toBe(data);
    });
  });

  describe('bad input changes nothing', () => {
    it.each([
      ['an empty name', '', newEvent()],
      ['a name of 10 KB', 'x'.repeat(10_240), newEvent()],
      ['a name with half a character', 'x\ud800', newEvent()],
      ['an id that is no UUID', 's', { ...newEvent(), id: 'one' }],
      ['an event type of 10 KB', 's', newEvent('x'.repeat(10_240))],
    ])('%s', async (_name, stream, event) => {
      await expect(store.append(stream, [event], 'any')).rejects.toMatchObject({ kind: 'invalid' });
      expect(store.head).toBe(-1);
    });

    it.each([-1, 1.5, Number.NaN, 2 ** 60])('an expected revision of %d', async (expected) => {
      await expect(store.append('s', newEvents(1), expected)).rejects.toMatchObject({ kind: 'invalid' });
    });

    it('but a name of exactly the most bytes is a name', async () => {
      const name = 'ß'.repeat(STREAM_NAME_BYTES_MAX / 2);
      await store.append(name, newEvents(1), 'noStream');
      await reopen({ unindexedEventsMax: 0 });
      await store.append(name, newEvents(1), 0);
      expect(await revisions(name)).toEqual([0, 1]);
    });

    it('more appends than may wait are refused at once, the others are stored', async () => {
      const event = newEvent();
      const appends = Array.from({ length: WAITING_APPENDS_MAX + 1 }, () =>
        store.append('s', [event], 'any'),
      );
      const outcomes = await Promise.allSettled(appends);
      const refused = outcomes.filter(({ status }) => status === 'rejected');
      expect(refused).toMatchObject([{ reason: { kind: 'overloaded' } }]);
      expect(await revisions('s')).toEqual([0]);
    });
  });

  describe('opening', () => {
    it('is refused while another has it open', async () => {
      await expect(EmbeddedEventStore.open({ path })).rejects.toThrow(InstanceRunning);
    });

    it('is refused when a newer program wrote it', async () => {
      await store.close();
      const lmdb = openLmdb({ path, maxDbs: 8, overlappingSync: false });
      const meta = lmdb.openDB('meta', { encoding: 'binary', keyEncoding: 'binary' });
      await meta.put(Buffer.from('format'), Buffer.from('1000'));
      await lmdb.close();
      await expect(EmbeddedEventStore.open({ path })).rejects.toMatchObject({ kind: 'newerFormat' });
    });

    it('keeps the epoch', async () => {
      const { epoch } = store;
      await reopen();
      expect(store.epoch).toBe(epoch);
      expect(epoch).toMatch(/^[0-9a-f-]{36}$/);
    });

    it('finds a record whose bytes were changed on the disk', async () => {
      const marker = 'findable-on-the-disk';
      await store.append('s', [newEvent('Tested', JSON.stringify({ marker }))], 'any');
      await store.close();
      const file = await openFile(join(path, 'data.mdb'), 'r+');
      const bytes = await file.readFile();
      for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 1)) {
        await file.write('F', at);
      }
      await file.close();
      await expect(EmbeddedEventStore.open({ path })).rejects.toMatchObject({ kind: 'corrupt' });
    });
  });

  it('rejects everything once closed', async () => {
    await store.close();
    await store.close();
    const closed = { kind: 'closed' };
    await expect(store.append('s', newEvents(1), 'any')).rejects.toMatchObject(closed);
    await expect(store.readStream('s', { limit: 1 })).rejects.toMatchObject(closed);
    await expect(store.readAll({ limit: 1 })).rejects.toMatchObject(closed);
    await expect(store.scavenge()).rejects.toMatchObject(closed);
  });
});

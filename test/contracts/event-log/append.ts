import {
  APPEND_BYTES_MAX,
  AppendTooLarge,
  EventLogUnavailable,
  type AppendResult,
  type ExpectedRevision,
} from '../../../src/application/ports/event-log';
import { furthest, hasPassed } from '../../../src/kernel/position';
import { eventsOf, freshStream, idsOf, newEvent, newEvents, revision, type CurrentLog } from './fixture';

function appendedAt(result: AppendResult): number {
  if (result.kind !== 'appended') throw new Error(`refused at ${result.actual ?? 'no stream'}`);
  return Number(result.revision);
}

export function appendContract(current: CurrentLog): void {
  const append = (stream: string, events: ReturnType<typeof newEvents>, expected: ExpectedRevision) =>
    current().log.append(stream, events, { expected });

  describe('expected revision', () => {
    it.each(['noStream', 'any'] as const)('takes the first events with %s', async (expected) => {
      const stream = freshStream();
      expect(appendedAt(await append(stream, newEvents(3), expected))).toBe(2);
      expect((await eventsOf(current().log, stream)).map((event) => event.revision)).toEqual([0n, 1n, 2n]);
    });

    it('refuses noStream once there is one, and names its last revision', async () => {
      const stream = freshStream();
      await append(stream, newEvents(2), 'noStream');
      expect(await append(stream, newEvents(1), 'noStream')).toEqual({
        kind: 'wrongExpectedRevision',
        actual: 1n,
      });
      expect(await eventsOf(current().log, stream)).toHaveLength(2);
    });

    it.each([revision(0), revision(7), 'streamExists' as const])(
      'refuses %s when there is no stream, and makes none',
      async (expected) => {
        const stream = freshStream();
        const refused = { kind: 'wrongExpectedRevision', actual: undefined };
        expect(await append(stream, newEvents(1), expected)).toEqual(refused);
        expect(await current().log.readStream(stream, { limit: 1 })).toEqual({ kind: 'streamNotFound' });
      },
    );

    it('appends at exactly the revision expected, and refuses one below and one above it', async () => {
      const stream = freshStream();
      await append(stream, newEvents(2), 'noStream');
      const refused = { kind: 'wrongExpectedRevision', actual: 1n };
      expect(await append(stream, newEvents(1), revision(0))).toEqual(refused);
      expect(await append(stream, newEvents(1), revision(2))).toEqual(refused);
      expect(appendedAt(await append(stream, newEvents(2), revision(1)))).toBe(3);
    });

    it.each(['any', 'streamExists'] as const)('appends at the end with %s', async (expected) => {
      const stream = freshStream();
      await append(stream, newEvents(2), 'noStream');
      expect(appendedAt(await append(stream, newEvents(1), expected))).toBe(2);
    });
  });

  describe('a repeated append', () => {
    it.each(['noStream', 'revision'] as const)('stores nothing new (%s)', async (kind) => {
      const stream = freshStream();
      if (kind === 'revision') await append(stream, newEvents(1), 'noStream');
      const expected = kind === 'revision' ? revision(0) : kind;
      const events = newEvents(3);
      const first = await append(stream, events, expected);
      expect(await append(stream, events, expected)).toEqual(first);
      expect(await eventsOf(current().log, stream)).toHaveLength(kind === 'revision' ? 4 : 3);
    });

    it('is recognised after others have appended', async () => {
      const stream = freshStream();
      const events = newEvents(2);
      const first = await append(stream, events, 'noStream');
      await append(stream, newEvents(3), revision(1));
      expect(await append(stream, events, 'noStream')).toEqual(first);
      expect(await eventsOf(current().log, stream)).toHaveLength(5);
    });

    it('is recognised when it is the beginning of what was stored', async () => {
      const stream = freshStream();
      const events = newEvents(3);
      await append(stream, events, 'noStream');
      expect(appendedAt(await append(stream, events.slice(0, 2), 'noStream'))).toBe(1);
      expect(await eventsOf(current().log, stream)).toHaveLength(3);
    });

    it('is refused when only its beginning was stored', async () => {
      const stream = freshStream();
      const events = newEvents(3);
      await append(stream, events.slice(0, 2), 'noStream');
      expect(await append(stream, events, 'noStream')).toEqual({ kind: 'wrongExpectedRevision', actual: 1n });
      expect(await eventsOf(current().log, stream)).toHaveLength(2);
    });

    it('is refused when its events were stored at other revisions', async () => {
      const stream = freshStream();
      const [first, second] = newEvents(2);
      if (first === undefined || second === undefined) throw new Error('two events');
      await append(stream, [first, second], 'noStream');
      expect(await append(stream, [second, first], 'noStream')).toMatchObject({
        kind: 'wrongExpectedRevision',
      });
    });
  });

  describe('positions and revisions', () => {
    it('rise strictly over all streams; those of an append are its last event’s', async () => {
      const { log } = current();
      const streams = [freshStream(), freshStream()];
      let before = await log.head();
      for (let n = 0; n < 6; n++) {
        const stream = streams[n % 2] as string;
        const result = await append(stream, newEvents(3), 'any');
        const last = (await eventsOf(log, stream, { direction: 'backwards', limit: 3 })).toReversed();
        for (const event of last) {
          expect(hasPassed(before, event.position)).toBe(false);
          before = furthest(event.position, before);
        }
        expect(result).toMatchObject({ kind: 'appended', position: last[2]?.position });
        expect(hasPassed(await log.head(), before)).toBe(true);
      }
    });

    it('have one winner each among 200 concurrent writers', async () => {
      const { log } = current();
      const stream = freshStream();
      await append(stream, newEvents(1), 'noStream');
      for (let round = 0; round < 5; round++) {
        const attempts = Array.from({ length: 200 }, () => append(stream, newEvents(1), revision(round)));
        const results = await Promise.all(attempts);
        expect(results.filter(({ kind }) => kind === 'appended')).toHaveLength(1);
        const losers = results.filter((result) => result.kind === 'wrongExpectedRevision');
        expect(new Set(losers.map(({ actual }) => actual))).toEqual(new Set([revision(round + 1)]));
      }
      const stored = await eventsOf(log, stream);
      expect(stored.map((event) => Number(event.revision))).toEqual([0, 1, 2, 3, 4, 5]);
    });

    it('are dense and keep every batch together when 200 writers append whatever comes', async () => {
      const stream = freshStream();
      const batches = Array.from({ length: 200 }, (_, n) => newEvents(1 + (n % 4)));
      const results = await Promise.all(batches.map((batch) => append(stream, batch, 'any')));
      const stored = await eventsOf(current().log, stream);
      expect(stored.map((event) => Number(event.revision))).toEqual(stored.map((_, n) => n));
      results.forEach((result, n) => {
        const end = appendedAt(result) + 1;
        const batch = batches[n] ?? [];
        expect(idsOf(stored.slice(end - batch.length, end))).toEqual(idsOf(batch));
      });
    });
  });

  describe('limits', () => {
    // `{"b":"…"}` and `{}` around the filling.
    const filled = (bytes: number) => newEvent({ b: 'x'.repeat(bytes - '{"b":""}{}'.length) });

    it('takes an append of exactly the most bytes', async () => {
      const stream = freshStream();
      expect(appendedAt(await append(stream, [filled(APPEND_BYTES_MAX)], 'noStream'))).toBe(0);
    });

    it('refuses one byte more, over one event or several, and writes nothing', async () => {
      const stream = freshStream();
      const half = APPEND_BYTES_MAX / 2;
      await expect(append(stream, [filled(APPEND_BYTES_MAX + 1)], 'noStream')).rejects.toThrow(
        AppendTooLarge,
      );
      await expect(append(stream, [filled(half), filled(half + 1)], 'noStream')).rejects.toThrow(
        AppendTooLarge,
      );
      expect(await current().log.readStream(stream, { limit: 1 })).toEqual({ kind: 'streamNotFound' });
    });

    it('refuses an append of nothing: a caller that has no events has a bug', async () => {
      await expect(append(freshStream(), [], 'any')).rejects.toThrow(RangeError);
    });
  });

  it('rejects with EventLogUnavailable once closed', async () => {
    await current().close();
    await expect(append(freshStream(), newEvents(1), 'any')).rejects.toThrow(EventLogUnavailable);
  });
}

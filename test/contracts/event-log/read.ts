import { READ_EVENTS_MAX, type LogEvent, type NewEvent } from '../../../src/application/ports/event-log';
import { furthest, hasPassed, POSITION_START, type Position } from '../../../src/kernel/position';
import {
  byShard,
  eventsOf,
  freshStream,
  idsOf,
  inOrderOf,
  newEvent,
  newEvents,
  revision,
  type CurrentLog,
} from './fixture';

export function readStreamContract(current: CurrentLog): void {
  const stored = async (count: number): Promise<{ stream: string; events: NewEvent[] }> => {
    const stream = freshStream();
    const events = newEvents(count);
    await current().log.append(stream, events, { expected: 'noStream' });
    return { stream, events };
  };

  it('says that there is no stream', async () => {
    const { log } = current();
    expect(await log.readStream(freshStream(), { limit: 1 })).toEqual({ kind: 'streamNotFound' });
    expect(await log.readStream(freshStream(), { limit: 1, direction: 'backwards' })).toEqual({
      kind: 'streamNotFound',
    });
  });

  it('gives back what was appended', async () => {
    const stream = freshStream();
    const data = { text: 'ß 😀 \u202e"\\', deep: { list: [1, null, true, 1.5, -0.25] }, gone: undefined };
    const event = newEvent(data, 'Said', { at: '2026-11-22T10:00:00.000Z' });
    const before = Date.now();
    await current().log.append(stream, [event], { expected: 'noStream' });
    const [read] = await eventsOf(current().log, stream);
    expect(read).toMatchObject({
      stream,
      revision: 0n,
      id: event.id,
      type: 'Said',
      metadata: event.metadata,
    });
    expect(read?.data).toStrictEqual({ text: data.text, deep: data.deep });
    expect(Math.abs((read?.created ?? 0) - before)).toBeLessThan(60_000);
  });

  it.each([
    ['unicode', 'straße-😀-'],
    ['separators', 'a/b\\c:d|e f.'],
    ['a percent sign and quotes', `100%'"`],
    ['long names', 'x'.repeat(200)],
  ])('keeps streams apart whose names have %s', async (_name, prefix) => {
    const { log } = current();
    const [one, other] = [freshStream(prefix), freshStream(prefix)];
    await log.append(one, newEvents(2), { expected: 'noStream' });
    await log.append(other, newEvents(1), { expected: 'noStream' });
    await log.append(`${one}-`, newEvents(3), { expected: 'noStream' });
    expect((await eventsOf(log, one)).map((event) => event.stream)).toEqual([one, one]);
    expect(await eventsOf(log, other)).toHaveLength(1);
    expect(await eventsOf(log, `${one}-`)).toHaveLength(3);
  });

  it('reads forwards in pages', async () => {
    const { stream, events } = await stored(5);
    const { log } = current();
    const first = await log.readStream(stream, { limit: 2 });
    expect(first).toMatchObject({ kind: 'events', more: true });
    const rest = await log.readStream(stream, { limit: 3, from: revision(2) });
    expect(rest).toMatchObject({ kind: 'events', more: false });
    expect(idsOf(await eventsOf(log, stream, { from: revision(2), limit: 2 }))).toEqual(
      idsOf(events.slice(2, 4)),
    );
    expect(await log.readStream(stream, { limit: 1, from: revision(5) })).toMatchObject({
      kind: 'events',
      events: [],
      more: false,
    });
  });

  it('reads backwards in pages, from the end by default', async () => {
    const { stream, events } = await stored(5);
    const { log } = current();
    const page = await log.readStream(stream, { limit: 2, direction: 'backwards' });
    expect(page).toMatchObject({ kind: 'events', more: true });
    const read = async (from?: number) =>
      idsOf(
        await eventsOf(log, stream, {
          direction: 'backwards',
          limit: 2,
          ...(from === undefined ? {} : { from: revision(from) }),
        }),
      );
    expect(await read()).toEqual(idsOf([events[4], events[3]] as NewEvent[]));
    expect(await read(1)).toEqual(idsOf([events[1], events[0]] as NewEvent[]));
    expect(await read(99)).toEqual(idsOf([events[4], events[3]] as NewEvent[]));
    expect(
      await log.readStream(stream, { limit: 2, direction: 'backwards', from: revision(1) }),
    ).toMatchObject({ more: false });
  });

  it('takes limits from one to the most, and no other', async () => {
    const { stream } = await stored(2);
    const { log } = current();
    expect(await eventsOf(log, stream, { limit: READ_EVENTS_MAX })).toHaveLength(2);
    for (const limit of [0, -1, 1.5, READ_EVENTS_MAX + 1]) {
      await expect(log.readStream(stream, { limit })).rejects.toThrow(RangeError);
      await expect(log.readAll({ limit })).rejects.toThrow(RangeError);
    }
  });

  describe('with a most number of events', () => {
    it('reads only the last ones, and says what is gone', async () => {
      const { stream, events } = await stored(5);
      const { log } = current();
      await log.setMaxCount(stream, 2);
      const cut = await log.readStream(stream, { limit: 10 });
      expect(cut).toMatchObject({ kind: 'events', truncatedBefore: 3n, more: false });
      expect(idsOf(await eventsOf(log, stream))).toEqual(idsOf(events.slice(3)));
      expect(idsOf(await eventsOf(log, stream, { direction: 'backwards' }))).toEqual(
        idsOf(events.slice(3).toReversed()),
      );
      expect(await log.readStream(stream, { limit: 10, from: revision(2) })).toMatchObject({
        truncatedBefore: 3n,
      });
      const whole = await log.readStream(stream, { limit: 10, from: revision(3) });
      expect(whole).not.toHaveProperty('truncatedBefore');
    });

    it('goes on forgetting as events are appended, and keeps counting', async () => {
      const { log } = current();
      const stream = freshStream();
      await log.setMaxCount(stream, 1);
      for (let n = 0; n < 3; n++) await log.append(stream, newEvents(1), { expected: 'any' });
      expect((await eventsOf(log, stream)).map((event) => event.revision)).toEqual([2n]);
      expect(await log.append(stream, newEvents(1), { expected: revision(2) })).toMatchObject({
        revision: 3n,
      });
    });
  });

  it('keeps everything over a restart', async () => {
    const opened = current();
    if (opened.reopen === undefined) return;
    const { stream, events } = await stored(3);
    const [epoch, head, before] = [
      await opened.log.epoch(),
      await opened.log.head(),
      await eventsOf(opened.log, stream),
    ];
    const again = await opened.reopen();
    expect(await again.epoch()).toBe(epoch);
    expect(await again.head()).toEqual(head);
    expect(await eventsOf(again, stream)).toEqual(before);
    const repeat = await again.append(stream, events, { expected: 'noStream' });
    expect(repeat).toMatchObject({ kind: 'appended', revision: 2n });
    const next = await again.append(stream, newEvents(1), { expected: revision(2) });
    expect(next).toMatchObject({ kind: 'appended', revision: 3n });
  });

  it('has one epoch and one numbering, for good', async () => {
    const { log } = current();
    const [epoch, numbering] = [await log.epoch(), await log.numbering()];
    expect(epoch).not.toBe('');
    expect(numbering).not.toBe('');
    await log.append(freshStream(), newEvents(1), { expected: 'any' });
    expect(await log.epoch()).toBe(epoch);
    expect(await log.numbering()).toBe(numbering);
  });
}

export function readAllContract(current: CurrentLog): void {
  /** Walks pages of `limit` from `after` to the end of the log. */
  const walk = async (
    limit: number,
    after: Position,
    filter?: { streamPrefixes?: readonly string[]; eventTypePrefixes?: readonly string[] },
  ): Promise<LogEvent[]> => {
    const seen: LogEvent[] = [];
    for (let from = after; ;) {
      const page = await current().log.readAll({ limit, after: from, ...(filter ? { filter } : {}) });
      expect(page.events.length).toBeLessThanOrEqual(limit);
      seen.push(...page.events);
      if (page.endOfLog) return seen;
      expect(hasPassed(from, page.next)).toBe(false);
      expect(hasPassed(page.next, from)).toBe(true);
      from = page.next;
    }
  };

  /** Appends in turn to three streams; gives their prefix and the ids in the order of the log. */
  const mixed = async (): Promise<{ prefix: string; start: Position; ids: string[] }> => {
    const { log } = current();
    const prefix = freshStream('mixed');
    const start = await log.head();
    const ids: string[] = [];
    for (let n = 0; n < 12; n++) {
      const batch = newEvents(1 + (n % 3), n % 2 === 0 ? 'EvenSaid' : 'OddSaid');
      await log.append(`${prefix}.${'abc'[n % 3] ?? ''}`, batch, { expected: 'any' });
      ids.push(...idsOf(batch));
    }
    return { prefix, start, ids };
  };

  it.each([1, 4, 1_000])('gives all events in the order of the log, %i a page', async (limit) => {
    const { prefix, start, ids } = await mixed();
    const filtered = await walk(limit, start, { streamPrefixes: [prefix] });
    expect(filtered).toHaveLength(ids.length);
    expect(byShard(filtered)).toEqual(byShard(inOrderOf(ids, filtered)));
    const whole = (await walk(limit, start)).filter(({ stream }) => stream.startsWith(prefix));
    expect(byShard(whole)).toEqual(byShard(filtered));
  });

  it('gives exactly what lies after a position', async () => {
    const { prefix, start, ids } = await mixed();
    const all = await walk(100, start, { streamPrefixes: [prefix] });
    expect(idsOf(all).toSorted()).toEqual(ids.toSorted());
    let reached = start;
    for (const [n, event] of all.entries()) {
      reached = furthest(event.position, reached);
      const rest = await walk(100, reached, { streamPrefixes: [prefix] });
      expect(byShard(rest)).toEqual(byShard(all.slice(n + 1)));
    }
  });

  it('filters by the beginning of stream names or of event types', async () => {
    const { prefix, start } = await mixed();
    const some = await walk(2, start, { streamPrefixes: [`${prefix}.a`, `${prefix}.c`] });
    expect(new Set(some.map(({ stream }) => stream))).toEqual(new Set([`${prefix}.a`, `${prefix}.c`]));
    const odd = await walk(2, start, { eventTypePrefixes: ['Odd'] });
    expect(new Set(odd.map(({ type }) => type))).toEqual(new Set(['OddSaid']));
    expect(odd).toHaveLength(12);
  });

  it('goes on from the end of the log when more has come', async () => {
    const { log } = current();
    const { start } = await mixed();
    let page = await log.readAll({ limit: 1_000, after: start });
    while (!page.endOfLog) page = await log.readAll({ limit: 1_000, after: page.next });
    const late = newEvents(2);
    await log.append(freshStream(), late, { expected: 'any' });
    expect(idsOf(await walk(1_000, page.next))).toEqual(idsOf(late));
  });

  it('reads backwards, from the end by default', async () => {
    const { log } = current();
    const { prefix, start, ids } = await mixed();
    const seen: LogEvent[] = [];
    let after: Position | undefined;
    for (;;) {
      const page = await log.readAll({
        limit: 5,
        direction: 'backwards',
        filter: { streamPrefixes: [prefix] },
        ...(after === undefined ? {} : { after }),
      });
      seen.push(...page.events);
      if (page.endOfLog || hasPassed(start, page.next)) break;
      after = page.next;
    }
    expect(seen).toHaveLength(ids.length);
    expect(byShard(seen)).toEqual(byShard(inOrderOf(ids, seen).toReversed()));
  });

  it('heads at its last event of a kind', async () => {
    const { log } = current();
    const [wanted, none] = [freshStream('wanted'), freshStream('none')];
    const last: Position[] = [];
    for (let n = 0; n < 6; n++) {
      const result = await log.append(`${wanted}.${n % 3}`, newEvents(2), { expected: 'any' });
      if (result.kind === 'appended') last.push(result.position);
    }
    await log.append(freshStream('other'), newEvents(300), { expected: 'any' });
    const head = await log.headOf({ streamPrefixes: [wanted] });
    const end = last.reduce(furthest);
    expect([hasPassed(head, end), hasPassed(end, head)]).toEqual([true, true]);
    expect(
      (await log.readAll({ limit: 5, after: head, filter: { streamPrefixes: [wanted] } })).events,
    ).toEqual([]);
    expect(hasPassed(POSITION_START, await log.headOf({ streamPrefixes: [none] }))).toBe(true);
  });

  it('heads at its last event', async () => {
    const { log } = current();
    const result = await log.append(freshStream(), newEvents(2), { expected: 'any' });
    if (result.kind !== 'appended') throw new Error(result.kind);
    expect(hasPassed(await log.head(), result.position)).toBe(true);
    expect((await log.readAll({ limit: 5, after: await log.head() })).events).toEqual([]);
  });
}

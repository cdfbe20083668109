import { setImmediate, setTimeout } from 'node:timers/promises';
import type { LogEvent, SubscriptionItem } from '../../../src/application/ports/event-log';
import { furthest, hasPassed, POSITION_START, type Position } from '../../../src/kernel/position';
import {
  byShard,
  caughtUp,
  collect,
  freshStream,
  idsOf,
  inOrderOf,
  newEvents,
  type CurrentLog,
} from './fixture';

const positionOf = (item: SubscriptionItem): Position =>
  item.kind === 'event' ? item.event.position : item.position;

/** What is reported never falls, and an event lies past all that was reported before it. */
function expectRising(items: readonly SubscriptionItem[]): void {
  let reached = POSITION_START;
  for (const item of items) {
    if (item.kind === 'event') expect(hasPassed(reached, item.event.position)).toBe(false);
    else expect(hasPassed(item.position, reached)).toBe(true);
    reached = furthest(positionOf(item), reached);
  }
}

export function subscribeContract(current: CurrentLog): void {
  it('gives what is stored, then says that it has caught up, then what comes', async () => {
    const { log } = current();
    const prefix = freshStream('live');
    const stored = newEvents(5);
    await log.append(`${prefix}.a`, stored, { expected: 'any' });
    const late = newEvents(3);
    const seen = await collect(
      log.subscribe({ after: 'start', filter: { streamPrefixes: [prefix] } }),
      (item, events) => {
        if (caughtUp(item) && events.length === 5) void log.append(`${prefix}.b`, late, { expected: 'any' });
        return events.length === 8;
      },
    );
    expect(idsOf(seen.events).toSorted()).toEqual(idsOf([...stored, ...late]).toSorted());
    expect(seen.events.map(({ revision }) => Number(revision))).toEqual([0, 1, 2, 3, 4, 0, 1, 2]);
    expectRising(seen.items);
    const turn = seen.items.findIndex(caughtUp);
    expect(seen.items.slice(0, turn).filter(({ kind }) => kind === 'event')).toHaveLength(5);
  });

  it('begins after a position, exclusively', async () => {
    const { log } = current();
    const stream = freshStream();
    await log.append(stream, newEvents(2), { expected: 'any' });
    const after = await log.head();
    const events = newEvents(3);
    await log.append(stream, events, { expected: 'any' });
    const filter = { streamPrefixes: [stream] };
    const seen = await collect(log.subscribe({ after, filter }), (_item, got) => got.length === 3);
    expect(idsOf(seen.events)).toEqual(idsOf(events));
    const middle = furthest((seen.events[1] as LogEvent).position, after);
    const rest = await collect(log.subscribe({ after: middle, filter }), (_item, got) => got.length === 1);
    expect(idsOf(rest.events)).toEqual(idsOf(events.slice(2)));
  });

  it('from the end gives nothing that was there before', async () => {
    const { log } = current();
    const stream = freshStream();
    await log.append(stream, newEvents(3), { expected: 'any' });
    const late = newEvents(2);
    const seen = await collect(
      log.subscribe({ after: 'end', filter: { streamPrefixes: [stream] } }),
      (item, events) => {
        if (caughtUp(item)) void log.append(stream, late, { expected: 'any' });
        return events.length === 2;
      },
    );
    expect(seen.items.find(({ kind }) => kind !== 'checkpoint')?.kind).toBe('caughtUp');
    expect(idsOf(seen.events)).toEqual(idsOf(late));
  });

  it('loses and repeats nothing where replay meets live, while writers go on', async () => {
    const { log } = current();
    const prefix = freshStream('seam');
    const [writers, rounds] = [10, 40];
    const filter = { streamPrefixes: [prefix] };
    const writing = Array.from({ length: writers }, async (_, writer) => {
      for (let round = 0; round < rounds; round++) {
        await log.append(`${prefix}.${writer}`, newEvents(2), { expected: 'any' });
        await setImmediate();
      }
    });
    // Subscribers join all along the writing, so that hand-overs meet it at many points.
    const total = writers * rounds * 2;
    const joining = Array.from({ length: 8 }, async (_, n) => {
      await setTimeout(n * 3);
      return collect(log.subscribe({ after: 'start', filter }), (_item, events) => events.length === total);
    });
    await Promise.all(writing);
    const [first, ...others] = await Promise.all(joining);
    if (first === undefined) throw new Error('eight subscribers');
    expect(new Set(idsOf(first.events)).size).toBe(total);
    expectRising(first.items);
    for (const other of others) expect(byShard(other.events)).toEqual(byShard(first.events));
    for (let writer = 0; writer < writers; writer++) {
      const own = first.events.filter(({ stream }) => stream === `${prefix}.${writer}`);
      expect(own.map((event) => Number(event.revision))).toEqual(own.map((_, n) => n));
    }
  });

  it('filters by type, and reports how far it has looked', async () => {
    const { log } = current();
    const wanted = freshStream('Wanted');
    const other = newEvents(100, 'Other');
    await log.append(freshStream(), newEvents(2, wanted), { expected: 'any' });
    await log.append(freshStream(), other, { expected: 'any' });
    const before = await log.head();
    let goal: Position | undefined;
    const seen = await collect(
      log.subscribe({ after: 'start', filter: { eventTypePrefixes: [wanted] } }),
      (item) => {
        if (caughtUp(item)) {
          expect(hasPassed(positionOf(item), before)).toBe(true);
          void log.append(freshStream(), newEvents(500, 'Other'), { expected: 'any' }).then((result) => {
            if (result.kind === 'appended') goal = result.position;
          });
        }
        // Without checkpoints a rarely matching subscription would start again from long ago.
        return item.kind === 'checkpoint' && goal !== undefined && hasPassed(item.position, goal);
      },
    );
    expect(seen.events).toHaveLength(2);
    expectRising(seen.items);
  });

  it('keeps everything for a reader that is slow, and lets others go on', async () => {
    const { log } = current();
    const prefix = freshStream('slow');
    const filter = { streamPrefixes: [prefix] };
    const [batches, size] = [60, 100];
    const after = await log.head();
    const ids: string[] = [];
    const quick = collect(log.subscribe({ after, filter }), (_item, events) => events.length === 6_000);
    const stuck = log.subscribe({ after, filter })[Symbol.asyncIterator]();
    await stuck.next();
    for (let n = 0; n < batches; n++) {
      const batch = newEvents(size);
      await log.append(`${prefix}.${n % 3}`, batch, { expected: 'any' });
      ids.push(...idsOf(batch));
    }
    const { events } = await quick;
    expect(byShard(events)).toEqual(byShard(inOrderOf(ids, events)));
    // The stuck reader has not asked for 6,000 events; it still gets all of them, in order.
    const late: LogEvent[] = [];
    while (late.length < ids.length) {
      const next = await stuck.next();
      if (next.done === true) throw new Error('the subscription ended');
      if (next.value.kind === 'event') late.push(next.value.event);
    }
    await stuck.return?.();
    expect(byShard(late)).toEqual(byShard(events));
  });

  it('ends when its signal aborts, waiting or not yet begun', async () => {
    const { log } = current();
    const controller = new AbortController();
    const waiting = collect(log.subscribe({ after: 'end', signal: controller.signal }), () => false);
    await setTimeout(20);
    controller.abort();
    expect((await waiting).events).toEqual([]);
    const never = await collect(log.subscribe({ after: 'start', signal: controller.signal }), () => false);
    expect(never.items).toEqual([]);
  });

  it('ends when the store goes away', async () => {
    const opened = current();
    let underWay = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      underWay = resolve;
    });
    const waiting = collect(opened.log.subscribe({ after: 'end' }), (item) => {
      if (caughtUp(item)) underWay();
      return false;
    });
    await begun;
    await opened.close();
    expect((await waiting).events).toEqual([]);
  });
}

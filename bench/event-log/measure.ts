import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { build } from 'hdr-histogram-js';
import {
  READ_EVENTS_MAX,
  type EventLog,
  type ExpectedRevision,
  type NewEvent,
} from '../../src/application/ports/event-log';
import { asEventId } from '../../src/kernel/ids';
import type { Position } from '../../src/kernel/position';

/** About what a stored message of 64 bytes is: 330 bytes of data, 280 of metadata. */
const DATA = {
  at: '2026-11-22T10:00:00.000Z',
  by: '018f4e7a-0000-7000-8000-000000000001',
  messageId: '018f4e7a-0000-7000-8000-000000000002',
  clientMessageId: '018f4e7a-0000-7000-8000-000000000003',
  ordinal: 1,
  content: { type: 'text', body: 'sixty-four bytes of text, as in every other measurement of ours.' },
};
const METADATA = {
  schemaVersion: 1,
  correlationId: '018f4e7a-0000-7000-8000-000000000004',
  causationId: '018f4e7a-0000-7000-8000-000000000005',
  at: DATA.at,
  hash: 'f'.repeat(64),
};
const LATENCY_MAX_US = 60_000_000;

export interface AppendFigures {
  readonly writers: number;
  readonly eventsPerAppend: number;
  readonly appendsPerSecond: number;
  readonly eventsPerSecond: number;
  /** Of one append, durable, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Of this process, with its threads, in microseconds; a server's own is not in it. */
  readonly cpuPerAppendUs: number;
}

/** Each writer has a stream of its own and its next append waits for the last one: a closed loop. */
export async function measureAppends(
  log: EventLog,
  writers: number,
  eventsPerAppend: number,
  seconds: number,
): Promise<AppendFigures> {
  const latency = build({ highestTrackableValue: LATENCY_MAX_US });
  const prefix = `bench-${randomUUID()}`;
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const end = begin + seconds * 1_000;
  let appends = 0;
  const write = async (writer: number): Promise<void> => {
    const stream = `${prefix}-${writer}`;
    let expected: ExpectedRevision = 'noStream';
    for (;;) {
      const events = Array.from({ length: eventsPerAppend }, newEvent);
      const startedAt = performance.now();
      const result = await log.append(stream, events, { expected });
      if (result.kind !== 'appended') throw new Error(`an append of ${stream} met another writer`);
      const now = performance.now();
      latency.recordValue(Math.max(1, Math.round((now - startedAt) * 1_000)));
      appends++;
      expected = result.revision;
      if (now >= end) return;
      // A log in memory answers within the same turn; the others would never get theirs.
      if (appends % 64 === 0) await nextTurn();
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  const took = (performance.now() - begin) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    writers,
    eventsPerAppend,
    appendsPerSecond: appends / took,
    eventsPerSecond: (appends * eventsPerAppend) / took,
    p50: latency.getValueAtPercentile(50) / 1_000,
    p99: latency.getValueAtPercentile(99) / 1_000,
    cpuPerAppendUs: (user + system) / appends,
  };
}

/** Events per second of a reader that goes through everything in the largest pages. */
export async function measureReads(log: EventLog, seconds: number): Promise<number> {
  const begin = performance.now();
  let read = 0;
  let after: Position | undefined;
  while (performance.now() - begin < seconds * 1_000) {
    const page = await log.readAll({ limit: READ_EVENTS_MAX, ...(after === undefined ? {} : { after }) });
    for (const event of page.events) read += event.data === undefined ? 0 : 1;
    // The log may be short: from the start again.
    after = page.endOfLog ? undefined : page.next;
  }
  return (read * 1_000) / (performance.now() - begin);
}

/** Events per second of a subscriber that catches up with the whole log. */
export async function measureCatchUp(log: EventLog): Promise<number> {
  const begin = performance.now();
  let read = 0;
  const stop = new AbortController();
  for await (const item of log.subscribe({ after: 'start', signal: stop.signal })) {
    if (item.kind === 'event') read += item.event.data === undefined ? 0 : 1;
    if (item.kind === 'caughtUp') break;
  }
  stop.abort();
  return (read * 1_000) / (performance.now() - begin);
}

export interface LiveFigures {
  readonly eventsPerSecond: number;
  /** From just before the append to the subscriber that has it, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** A subscriber beside 20 writers. */
export async function measureLive(log: EventLog, seconds: number): Promise<LiveFigures> {
  const latency = build({ highestTrackableValue: LATENCY_MAX_US });
  const sent = new Map<string, number>();
  const stop = new AbortController();
  const end = performance.now() + seconds * 1_000;
  const prefix = `live-${randomUUID()}`;
  const write = async (writer: number): Promise<void> => {
    while (performance.now() < end) {
      const event = newEvent();
      sent.set(event.id, performance.now());
      await log.append(`${prefix}-${writer}`, [event], { expected: 'any' });
      await nextTurn();
    }
  };
  let received = 0;
  const state = { writing: true };
  const items = log.subscribe({
    after: 'end',
    filter: { streamPrefixes: [prefix] },
    signal: stop.signal,
  });
  const begin = performance.now();
  const writers = (async (): Promise<void> => {
    // A subscription from the end begins when it is first asked for an item.
    await new Promise((resolve) => setTimeout(resolve, 200));
    await Promise.all(Array.from({ length: 20 }, (_, writer) => write(writer)));
    state.writing = false;
    if (received >= sent.size) stop.abort();
  })();
  for await (const item of items) {
    if (item.kind !== 'event') continue;
    const sentAt = sent.get(item.event.id);
    if (sentAt === undefined) continue;
    latency.recordValue(Math.max(1, Math.round((performance.now() - sentAt) * 1_000)));
    received++;
    if (!state.writing && received >= sent.size) break;
  }
  await writers;
  return {
    eventsPerSecond: (received * 1_000) / (performance.now() - begin),
    p50: latency.getValueAtPercentile(50) / 1_000,
    p99: latency.getValueAtPercentile(99) / 1_000,
  };
}

const newEvent = (): NewEvent => ({
  id: asEventId(randomUUID()),
  type: 'MessageSent',
  data: DATA,
  metadata: METADATA,
});

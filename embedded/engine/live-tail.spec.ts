import { LIVE_BYTES_MAX, LIVE_EVENTS_MAX, LiveTail } from './live-tail';
import { encodeRecord, RecordedEvent, sealRecord } from './record';
import { RECENT_IDS_MAX, RecentIds } from './recent-ids';

function eventAt(position: number, bytes = 0): RecordedEvent {
  const id = `00000000-0000-4000-8000-${String(position).padStart(12, '0')}`;
  const event = { id, type: 'T', isJson: false, data: Buffer.alloc(bytes), metadata: '' };
  const record = encodeRecord('s', event);
  sealRecord(record, position, 0);
  return new RecordedEvent(position, record, { stream: 's', event });
}

describe('LiveTail', () => {
  it('keeps exactly the last events, up to the most', () => {
    const tail = new LiveTail(-1);
    expect([tail.last, tail.oldest]).toEqual([-1, 0]);
    for (let position = 0; position < LIVE_EVENTS_MAX; position++) tail.extend([eventAt(position)]);
    expect([tail.last, tail.oldest]).toEqual([LIVE_EVENTS_MAX - 1, 0]);
    tail.extend([eventAt(LIVE_EVENTS_MAX)]);
    expect([tail.last, tail.oldest]).toEqual([LIVE_EVENTS_MAX, 1]);
    for (let position = 1; position <= LIVE_EVENTS_MAX; position++) {
      expect(tail.at(position).position).toBe(position);
    }
  });

  it('keeps no more bytes than the most', () => {
    const tail = new LiveTail(9);
    const megabytes = Array.from({ length: 20 }, (_, n) => eventAt(10 + n, 1_048_576));
    tail.extend(megabytes);
    expect(tail.last).toBe(29);
    expect((tail.last - tail.oldest + 1) * 1_048_576).toBeLessThan(LIVE_BYTES_MAX);
    expect(tail.oldest).toBe(29 - 14);
  });

  it('wakes those who wait: by an event, by their signal, by the end', async () => {
    const tail = new LiveTail(4);
    await tail.past(3, undefined);
    const byEvent = tail.past(4, undefined);
    tail.extend([eventAt(5)]);
    await byEvent;
    const controller = new AbortController();
    const bySignal = tail.past(5, controller.signal);
    controller.abort();
    await bySignal;
    await tail.past(5, controller.signal);
    const byEnd = tail.past(5, undefined);
    tail.close();
    await byEnd;
    expect(tail.closed).toBe(true);
  });
});

describe('LiveTail, of one stream', () => {
  const inStream = (stream: string, position: number): RecordedEvent => {
    const event = { id: eventAt(position).id, type: 'T', isJson: false, data: '', metadata: '' };
    const record = encodeRecord(stream, event);
    sealRecord(record, 0, 0);
    return new RecordedEvent(position, record, { stream, event });
  };

  it('wakes at its own events, and leaves its readers alone at those of others', async () => {
    const tail = new LiveTail(-1);
    let woken = false;
    const waiting = tail.changeOf('quiet', undefined).then(() => {
      woken = true;
    });
    for (let position = 0; position < 100; position++) tail.extend([inStream('busy', position)]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(woken).toBe(false);
    expect([tail.readersOf('quiet'), tail.readersOf('busy')]).toEqual([1, 0]);
    tail.extend([inStream('busy', 100), inStream('quiet', 101)]);
    await waiting;
    expect(tail.readersOf('quiet')).toBe(0);
  });

  it('wakes by the signal and by the end, and forgets who waited', async () => {
    const tail = new LiveTail(-1);
    const controller = new AbortController();
    const bySignal = tail.changeOf('quiet', controller.signal);
    const byEnd = tail.changeOf('quiet', undefined);
    controller.abort();
    await bySignal;
    expect(tail.readersOf('quiet')).toBe(1);
    await tail.changeOf('quiet', controller.signal);
    tail.close();
    await byEnd;
    await tail.changeOf('quiet', undefined);
    expect(tail.readersOf('quiet')).toBe(0);
  });
});

describe('RecentIds', () => {
  it('remembers the last half for certain, and never more than the most', () => {
    const recent = new RecentIds();
    const all = Array.from({ length: RECENT_IDS_MAX + 1 }, (_, n) => eventAt(n));
    for (const event of all) recent.add(event);
    const known = all.filter(({ id }) => recent.find(id) !== undefined);
    expect(known.length).toBeLessThanOrEqual(RECENT_IDS_MAX);
    expect(known.map(({ position }) => position)).toEqual(
      all.slice(-known.length).map(({ position }) => position),
    );
    expect(known.length).toBeGreaterThan(RECENT_IDS_MAX / 2);
    const last = all.at(-1) as RecordedEvent;
    expect(recent.find(last.id)).toBe(RECENT_IDS_MAX);
  });
});

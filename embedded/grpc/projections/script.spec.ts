import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { encodeRecord, RecordedEvent, sealRecord } from '../../engine/record';
import { ProjectionFault, type Handler } from './definition';
import { scriptHandler } from './script';

const PATIENCE_MS = 60_000;

const eventAt = (position: number): RecordedEvent => {
  const id = `00000000-0000-4000-8000-${String(position).padStart(12, '0')}`;
  const record = encodeRecord('s', { id, type: 'Said', isJson: true, data: '{}', metadata: '' });
  sealRecord(record, position, 0);
  return new RecordedEvent(position, record);
};
const events = (count: number): RecordedEvent[] => Array.from({ length: count }, (_, n) => eventAt(n));
const patiently = async <T>(work: Promise<T>): Promise<T | 'nothing came'> => {
  const over = new AbortController();
  const late = pause(PATIENCE_MS, 'nothing came' as const, { signal: over.signal }).catch(
    () => 'nothing came' as const,
  );
  return Promise.race([work, late]).finally(() => {
    over.abort();
  });
};

describe('the thread of a program', () => {
  // No loop and no call, so nothing in which the interpreter looks at the time: half a million places, as many bytes each.
  const HANGS = "fromAll().when({ $any() { 'a'.repeat(1e6).indexOf('a'.repeat(5e5) + 'b'); } })";

  it('that does not answer is ended, with what waits for it and whoever asks again', async () => {
    // The limit holds for the beginning, too, which takes as long as the machine is busy.
    let answerMsMax = 250;
    let begun: Handler | undefined;
    while (begun === undefined) {
      answerMsMax *= 2;
      begun = await scriptHandler(HANGS, undefined, { answerMsMax }).catch(() => undefined);
    }
    const handler = begun;
    const asked = [handler.handle(events(1)), handler.states()].map(async (one) =>
      one.catch((error: unknown) => error),
    );
    const fault = new ProjectionFault(`It did not answer in ${answerMsMax} ms.`);
    expect(await patiently(Promise.all(asked))).toEqual([fault, fault]);
    await expect(handler.states()).rejects.toThrow(fault);
    await handler.close();
  });

  it('is given ten seconds for an answer', async () => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    const handler = await scriptHandler('fromAll()', undefined);
    const given = timers.mock.calls.map(([, ms]) => ms);
    timers.mockRestore();
    expect(given).toContain(10_000);
    await handler.close();
  });

  it('that is slow with each of many events is asked for them in turn, and none is lost', async () => {
    const slow =
      "fromAll().when({ $any(state, event) { const end = Date.now() + 3; while (Date.now() < end); linkTo('to', event); } })";
    const questions = jest.spyOn(Worker.prototype, 'postMessage');
    const handler = await scriptHandler(slow, undefined, { answerDueMs: 20 });
    questions.mockClear();
    const handled = await handler.handle(events(100));
    expect(questions.mock.calls.length).toBeGreaterThan(1);
    questions.mockRestore();
    expect(handled.fault).toBeUndefined();
    expect(handled.outputs.map(({ event, made }) => [event.position, made.length])).toEqual(
      events(100).map(({ position }) => [position, 1]),
    );
    await handler.close();
  });
});

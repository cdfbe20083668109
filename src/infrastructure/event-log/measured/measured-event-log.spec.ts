import { randomUUID } from 'node:crypto';
import { eventLogContract } from '../../../../test/contracts/event-log.contract';
import { EventLogUnavailable } from '../../../application/ports/event-log';
import { asEventId } from '../../../kernel/ids';
import { Metrics } from '../../../observability/metrics';
import { MemoryEventLog } from '../../memory/memory-event-log';
import { MeasuredEventLog } from './measured-event-log';

const metrics = new Metrics();

eventLogContract('a measured event log', () => {
  const inner = new MemoryEventLog();
  const close = (): Promise<void> => {
    inner.close();
    return Promise.resolve();
  };
  return Promise.resolve({ log: new MeasuredEventLog(inner, metrics), close });
});

it('counts what was stored, and what was refused because another was first', async () => {
  const own = new Metrics();
  const log = new MeasuredEventLog(new MemoryEventLog(), own);
  const event = () => ({ id: asEventId(randomUUID()), type: 'a', data: {}, metadata: {} });
  await log.append('s', [event(), event()], { expected: 'noStream' });
  await log.append('s', [event()], { expected: 'noStream' });
  const { text } = await own.expose();
  expect(text).toContain('parley_appends_total 1');
  expect(text).toContain('parley_append_conflicts_total 1');
  expect(text).toContain('parley_append_events_sum 2');
});

it('counts calls that the log did not answer, and not what it refused for good', async () => {
  const own = new Metrics();
  const memory = new MemoryEventLog();
  const log = new MeasuredEventLog(memory, own);
  await expect(log.readStream('s', { limit: 0 })).rejects.toThrow(RangeError);
  memory.close();
  await expect(log.readStream('s', { limit: 1 })).rejects.toThrow(EventLogUnavailable);
  expect((await own.expose()).text).toContain('parley_store_failures_total{store="log"} 1');
});

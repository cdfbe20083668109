import { randomUUID } from 'node:crypto';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { asEventId } from '../../src/kernel/ids';
import { openTestDoor } from '../support/grpc-door';

const HOUR_MS = 3_600_000;

it.each([-HOUR_MS, HOUR_MS])('appends though the clock of the node is off by %i ms', async (offsetMs) => {
  const door = await openTestDoor();
  const log = new EsdbEventLog({ connectionString: `esdb://127.0.0.1:${door.port}?tls=false` });
  const now = Date.now;
  // Node and store live in one process here: whoever asks from within the adapter is told the node's time.
  const clock = jest.spyOn(Date, 'now').mockImplementation(() => {
    const asksAdapter = new Error().stack?.includes('/event-log/esdb/') === true;
    return asksAdapter ? now() + offsetMs : now();
  });
  try {
    const event = { id: asEventId(randomUUID()), type: 'Tested', data: {}, metadata: {} };
    const result = await log.append('conversation-1', [event], { expected: 'noStream' });
    expect(result).toMatchObject({ kind: 'appended', revision: 0n });
  } finally {
    clock.mockRestore();
    await log.close();
    await door.close();
  }
});

import { BACKWARDS, END, EventStoreDBClient, FORWARDS, START } from '@eventstore/db-client';
import type { LoggedEvent } from '../journal';

const PREFIX = 'conversation-';

/** Where the log ends: cheap, however long it is. */
export async function endOfLog(connectionString: string): Promise<string> {
  const client = EventStoreDBClient.connectionString(connectionString);
  try {
    const read = client.readAll({ direction: BACKWARDS, fromPosition: END, maxCount: 1 });
    for await (const { event } of read) return `${event?.streamId ?? ''} ${String(event?.revision)}`;
    return 'nothing';
  } finally {
    await client.dispose();
  }
}

/** Every conversation as the store holds it, read by EventStoreDB's own client. */
export async function readLog(connectionString: string): Promise<Map<string, LoggedEvent[]>> {
  const client = EventStoreDBClient.connectionString(connectionString);
  try {
    const log = new Map<string, LoggedEvent[]>();
    for await (const { event } of client.readAll({ direction: FORWARDS, fromPosition: START })) {
      if (event?.streamId.startsWith(PREFIX) !== true) continue;
      const conversationId = event.streamId.slice(PREFIX.length);
      const events = log.get(conversationId) ?? [];
      log.set(conversationId, events);
      events.push({
        conversationId,
        seq: Number(event.revision),
        type: event.type,
        at: String((event.metadata as { at?: unknown } | undefined)?.at),
        data: event.data as LoggedEvent['data'],
      });
    }
    return log;
  } finally {
    await client.dispose();
  }
}

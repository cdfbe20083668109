import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { EmbeddedEventLog } from '../../src/infrastructure/event-log/embedded/embedded-event-log';
import type { EventLog } from '../../src/application/ports/event-log';
import type { WrittenConversation } from './written-conversation';

/** Appends under way at once. */
const APPENDING_MAX = 64;
/** Events in one append; a few hundred bytes each. */
const APPEND_EVENTS_MAX = 500;

/** Writes into the log of a node that has not started yet. @returns the position of the last event */
export async function writePast(dataDir: string, write: (log: EventLog) => Promise<void>): Promise<bigint> {
  const store = await EmbeddedEventStore.open({ path: join(dataDir, 'events') });
  try {
    await write(new EmbeddedEventLog(store));
    return BigInt(store.head);
  } finally {
    await store.close();
  }
}

/** Makes conversations one by one with `make` and stores each, some of them at once. */
export async function storeAll(
  log: EventLog,
  count: number,
  make: (n: number) => WrittenConversation,
): Promise<WrittenConversation[]> {
  const made: WrittenConversation[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) {
      const conversation = make(n);
      made[n] = conversation;
      await conversation.store(log);
    }
  };
  await Promise.all(Array.from({ length: APPENDING_MAX }, lane));
  return made;
}

/** Messages in turn from all members, stored as they come. */
export async function storeMessages(
  log: EventLog,
  conversation: WrittenConversation,
  count: number,
  body: string,
): Promise<void> {
  for (let n = 0; n < count; n++) {
    conversation.send(conversation.member(n), body);
    if (conversation.pendingEvents >= APPEND_EVENTS_MAX) await conversation.store(log);
  }
  await conversation.store(log);
}

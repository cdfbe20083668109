import type { LogEvent } from '../../src/application/ports/event-log';
import { fromStored } from '../../src/domain/conversation/codec';
import type { Recorded } from '../../src/domain/conversation/events';
import { conversationOfStream } from '../../src/domain/conversation/streams';
import { toSeq } from '../../src/kernel/ids';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * What the log's event says about a conversation. undefined for what is none of ours: other types, and streams
 * that other programs wrote under our prefix. Conversations' ids are UUIDs in lower case; anything else would be
 * refused by the tables, or be taken for another conversation.
 */
export function recordedOf(event: LogEvent): Recorded | undefined {
  const conversationId = conversationOfStream(event.stream);
  if (conversationId === undefined || !UUID.test(conversationId)) return undefined;
  return fromStored(conversationId, { ...event, seq: toSeq(event.revision) });
}

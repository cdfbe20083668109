import type { IndexLookup } from '../../application/ports/message-index';
import { MessageIndex } from '../../application/ports/message-index';
import { READ_EVENTS_MAX, type EventLog } from '../../application/ports/event-log';
import { fromStored } from '../../domain/conversation/codec';
import type { LookupRequest, StoredMessage } from '../../domain/conversation/commands';
import type { Recorded } from '../../domain/conversation/events';
import { conversationStream } from '../../domain/conversation/streams';
import { asSeq, toRevision, toSeq, type ConversationId } from '../../kernel/ids';

/** The permanent index without a store, for specs: searches the stream itself, so it is never behind it. */
export class MemoryMessageIndex extends MessageIndex {
  constructor(private readonly log: EventLog) {
    super();
  }

  async find(conversationId: ConversationId, request: LookupRequest): Promise<IndexLookup> {
    for (let from = 0; ; from += READ_EVENTS_MAX) {
      const read = await this.log.readStream(conversationStream(conversationId), {
        from: toRevision(asSeq(from)),
        limit: READ_EVENTS_MAX,
      });
      if (read.kind !== 'events') return { kind: 'answer', found: undefined };
      for (const stored of read.events) {
        const recorded = fromStored(conversationId, { ...stored, seq: toSeq(stored.revision) });
        const found = recorded && messageOf(recorded, request);
        if (found !== undefined) return { kind: 'answer', found };
      }
      if (!read.more) return { kind: 'answer', found: undefined };
    }
  }
}

function messageOf({ event, seq, at }: Recorded, request: LookupRequest): StoredMessage | undefined {
  if (event.type !== 'MessageSent') return undefined;
  if (event.by !== request.by || event.clientMessageId !== request.clientMessageId) return undefined;
  return { messageId: event.messageId, seq, ordinal: event.ordinal, at, contentHash: event.contentHash };
}

import { Injectable } from '@nestjs/common';
import { fromStored } from '../domain/conversation/codec';
import { evolve } from '../domain/conversation/evolve';
import type { ConversationState } from '../domain/conversation/state';
import { conversationStream } from '../domain/conversation/streams';
import { asRevision, toSeq, type ConversationId, type Seq } from '../kernel/ids';
import { EventLog, READ_EVENTS_MAX } from './ports/event-log';
import { StoreUnavailable } from './ports/store-unavailable';

/** The last seq that a conversation is folded up to for one question: some seconds of work. */
export const PAST_SEQ_MAX = 200_000;

/** Conversations as they were: the log folded from its beginning, because a snapshot knows only its own moment. */
@Injectable()
export class PastConversations {
  constructor(private readonly log: EventLog) {}

  /**
   * The state after the event at `seq`, which must not lie past PAST_SEQ_MAX. Holds one page and one state.
   *
   * @returns undefined when there is no such event; 'truncated' when the log no longer holds the beginning
   * @throws EventLogUnavailable; StoreUnavailable for an event of a type that a newer version wrote
   */
  async at(conversationId: ConversationId, seq: Seq): Promise<ConversationState | 'truncated' | undefined> {
    if (seq > PAST_SEQ_MAX) throw new RangeError(`${seq} lies past ${PAST_SEQ_MAX}`);
    let state: ConversationState | undefined;
    for (let next = 0; next <= seq;) {
      const read = await this.log.readStream(conversationStream(conversationId), {
        from: asRevision(BigInt(next)),
        limit: Math.min(READ_EVENTS_MAX, seq + 1 - next),
      });
      if (read.kind !== 'events' || read.events.length === 0) return undefined;
      if (read.truncatedBefore !== undefined) return 'truncated';
      for (const stored of read.events) {
        const recorded = fromStored(conversationId, { ...stored, seq: toSeq(stored.revision) });
        if (recorded === undefined) {
          throw new StoreUnavailable(`conversation ${conversationId}: unknown event type ${stored.type}`);
        }
        state = evolve(state, recorded);
      }
      next += read.events.length;
    }
    return state;
  }
}

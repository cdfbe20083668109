import type { EventLog } from '../../src/application/ports/event-log';
import { toStored } from '../../src/domain/conversation/codec';
import type {
  ConversationEvent,
  ConversationStarted,
  MessageSent,
  Recorded,
} from '../../src/domain/conversation/events';
import { conversationStream } from '../../src/domain/conversation/streams';
import {
  asClientMessageId,
  asConversationId,
  asEventId,
  asMessageId,
  asMillis,
  asOrdinal,
  asSeq,
  toIso,
  type ConversationId,
  type Seq,
  type UserId,
} from '../../src/kernel/ids';
import { uuidv7 } from '../../src/kernel/uuid';

/** Time of the first event of every written conversation; each later one is a second after the one before. */
export const WRITTEN_FROM = 1_700_000_000_000;

/** A conversation written down event by event, for specs of what reads it. Nothing checks that it makes sense. */
export class WrittenConversation {
  readonly id: ConversationId;
  readonly events: Recorded[] = [];
  private ordinal = 0;
  private stored = 0;

  constructor(
    members: readonly UserId[],
    start: Partial<Omit<ConversationStarted, 'type'>> = {},
    private readonly from = WRITTEN_FROM,
  ) {
    this.id = asConversationId(uuidv7());
    const by = members[0] as UserId;
    this.add({ type: 'ConversationStarted', by, kind: 'group', memberIds: members, ...start });
  }

  /** @returns its seq */
  add(event: ConversationEvent): Seq {
    const seq = asSeq(this.events.length);
    this.events.push({ conversationId: this.id, seq, at: asMillis(this.from + seq * 1_000), event });
    return seq;
  }

  /** @returns its seq */
  send(by: UserId, more: Partial<Omit<MessageSent, 'type'>> = {}): Seq {
    const ordinal = asOrdinal(++this.ordinal);
    return this.add({
      type: 'MessageSent',
      by,
      messageId: asMessageId(uuidv7()),
      clientMessageId: asClientMessageId(`key-${ordinal}`),
      ordinal,
      content: { type: 'text', body: `message ${ordinal}` },
      contentHash: `hash-${ordinal}`,
      ...more,
    });
  }

  /** Appends what has been written since the last time. */
  async store(eventLog: EventLog): Promise<void> {
    const events = this.events.slice(this.stored).map(({ event, at }) => ({
      id: asEventId(uuidv7()),
      ...toStored(event),
      metadata: { at: toIso(at) },
    }));
    this.stored = this.events.length;
    for (let begin = 0; begin < events.length; begin += 500)
      await eventLog.append(conversationStream(this.id), events.slice(begin, begin + 500), {
        expected: 'any',
      });
  }
}

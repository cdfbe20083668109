import { Injectable } from '@nestjs/common';
import { fromStored } from '../domain/conversation/codec';
import type { TargetMessage } from '../domain/conversation/commands';
import { conversationStream } from '../domain/conversation/streams';
import { asMillis, toRevision, toSeq, type ConversationId, type Seq } from '../kernel/ids';
import { EventLog } from './ports/event-log';

/** The message a command is about, by its seq: one read of one event, for events never change. */
@Injectable()
export class TargetMessages {
  constructor(private readonly log: EventLog) {}

  /** undefined: nothing stands at `seq`, or it is no message. @throws EventLogUnavailable */
  async find(conversationId: ConversationId, seq: Seq): Promise<TargetMessage | undefined> {
    if (!Number.isSafeInteger(seq) || seq < 0) return undefined;
    const read = await this.log.readStream(conversationStream(conversationId), {
      from: toRevision(seq),
      limit: 1,
    });
    const stored = read.kind === 'events' ? read.events[0] : undefined;
    if (stored === undefined || toSeq(stored.revision) !== seq) return undefined;
    const recorded = fromStored(conversationId, { ...stored, seq });
    if (recorded?.event.type !== 'MessageSent') return undefined;
    const { by, expiresAt } = recorded.event;
    const end = expiresAt === undefined ? {} : { expiresAt: asMillis(Date.parse(expiresAt)) };
    return { seq, by, at: recorded.at, ...end };
  }
}

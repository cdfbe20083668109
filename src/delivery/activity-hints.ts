import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { ConversationId, Ordinal, Seq, UserId } from '../kernel/ids';
import type { ServerFrame } from '../protocol/frames';
import { Hub } from './hub';
import { Paced } from './paced';

/** One hint per conversation and this time, at most. */
export const ACTIVITY_INTERVAL_MS = 1_000;
/** Very large conversations in which something happens at once; of more, the devices learn when they sync. */
export const ACTIVITY_CONVERSATIONS_MAX = 10_000;

/** A very large conversation as of an event that was withheld. */
interface Activity {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  readonly lastOrdinal: Ordinal | 0;
  readonly members: Iterable<UserId>;
}

/**
 * `conversation.activity` (PROTOCOL.md section 2): in very large groups, those devices that do not focus the
 * conversation are told how far it has got, instead of every event.
 */
@Injectable()
export class ActivityHints implements OnApplicationShutdown {
  private readonly paced = new Paced<ConversationId>(ACTIVITY_INTERVAL_MS, ACTIVITY_CONVERSATIONS_MAX);

  constructor(private readonly hub: Hub) {}

  note(activity: Activity): void {
    this.paced.run(activity.conversationId, () => {
      this.tell(activity);
    });
  }

  onApplicationShutdown(): void {
    this.paced.stop();
  }

  private tell({ conversationId, members, lastOrdinal, seq }: Activity): void {
    const frame: ServerFrame = {
      event: 'conversation.activity',
      data: { conversationId, headSeq: seq, headOrdinal: lastOrdinal },
    };
    const bytes = Buffer.from(JSON.stringify(frame));
    for (const userId of members) {
      for (const connection of this.hub.connectionsOf(userId)) {
        if (connection.focused !== conversationId) connection.hint(bytes);
      }
    }
  }
}

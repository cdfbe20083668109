import { fromStored } from '../../src/domain/conversation/codec';
import type { RecordRead, SendMessage, StartConversation } from '../../src/domain/conversation/commands';
import type { Recorded } from '../../src/domain/conversation/events';
import { conversationStream } from '../../src/domain/conversation/streams';
import type { Outcome } from '../../src/application/outcome';
import { READ_EVENTS_MAX, type EventLog, type LogEvent } from '../../src/application/ports/event-log';
import {
  asClientMessageId,
  asConversationId,
  asMessageId,
  asMillis,
  asSeq,
  asUserId,
  toSeq,
  type ConversationId,
  type UserId,
} from '../../src/kernel/ids';
import { createHash } from 'node:crypto';
import { v7 } from 'uuid';
import { uuidv7 } from '../../src/kernel/uuid';

export const ANNA = asUserId('01936f00-0000-7000-8000-00000000000a');
export const BEN = asUserId('01936f00-0000-7000-8000-00000000000b');
export const CARL = asUserId('01936f00-0000-7000-8000-00000000000c');
/** Has an account, and is in no conversation. */
export const STRANGER = asUserId('01936f00-0000-7000-8000-0000000000ff');

const AT = asMillis(Date.parse('2026-11-22T10:00:00.000Z'));

/** A new group of Anna, its owner, and Ben. */
export const group = (memberIds: readonly UserId[] = [BEN]): StartConversation => ({
  type: 'StartConversation',
  conversationId: asConversationId(uuidv7()),
  by: ANNA,
  at: AT,
  kind: 'group',
  memberIds,
  title: 'Plans',
});

let births = AT - 1_000_000_000;
/** A key born after all before it, as of a device that makes one for each message it sends. */
export const newKey = (): string => v7({ msecs: births++ });

/** A message with a key of its own. */
export function send(
  conversationId: ConversationId,
  options: { readonly by?: UserId; readonly text?: string; readonly key?: string } = {},
): SendMessage {
  const text = options.text ?? 'hello';
  return {
    type: 'SendMessage',
    conversationId,
    by: options.by ?? ANNA,
    at: AT,
    clientMessageId: asClientMessageId(options.key ?? newKey()),
    messageId: asMessageId(uuidv7()),
    content: { type: 'text', body: text },
    contentHash: createHash('sha256').update(text).digest('hex'),
  };
}

export const read = (conversationId: ConversationId, userId: UserId, upTo: number): RecordRead => ({
  type: 'RecordRead',
  conversationId,
  by: userId,
  at: AT,
  cursors: [{ userId, upTo: asSeq(upTo) }],
});

/** The outcome of a command that has to be accepted. */
export function accepted(outcome: Outcome | undefined): Extract<Outcome, { kind: 'accepted' }> {
  if (outcome?.kind !== 'accepted') throw new Error(`not accepted: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** The whole stream of a conversation. */
export async function storedIn(log: EventLog, id: ConversationId): Promise<readonly LogEvent[]> {
  const stored = await log.readStream(conversationStream(id), { limit: READ_EVENTS_MAX });
  return stored.kind === 'events' ? stored.events : [];
}

export interface StoredText {
  readonly by: UserId;
  readonly key: string;
  readonly seq: number;
  readonly ordinal: number;
  readonly at: number;
  readonly text: unknown;
}

/** The messages of a conversation as the log has them. */
export async function messagesIn(log: EventLog, id: ConversationId): Promise<readonly StoredText[]> {
  const recorded = (await storedIn(log, id)).map((stored): Recorded | undefined =>
    fromStored(id, { ...stored, seq: toSeq(stored.revision) }),
  );
  return recorded.flatMap((one) => {
    if (one?.event.type !== 'MessageSent') return [];
    const { by, clientMessageId, ordinal, content } = one.event;
    return [{ by, key: clientMessageId, seq: one.seq, ordinal, at: one.at, text: content.body }];
  });
}

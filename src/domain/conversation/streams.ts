import { asConversationId, type ConversationId, type UserId } from '../../kernel/ids';
import { uuidv5 } from '../../kernel/uuid';

const CONVERSATION_PREFIX = 'conversation-';
const SNAPSHOT_PREFIX = 'snapshot-';

/** Namespace of direct conversations: changing it would give every pair of people a second conversation. */
const DIRECT_NAMESPACE = '8a2f3a52-6a0f-5b6e-9a5f-3f0a1c6f2d11';

export const CONVERSATION_STREAM_PREFIX = CONVERSATION_PREFIX;
export const conversationStream = (id: ConversationId): string => CONVERSATION_PREFIX + id;
export const snapshotStream = (id: ConversationId): string => SNAPSHOT_PREFIX + id;

/** undefined for any stream that is no conversation. */
export function conversationOfStream(stream: string): ConversationId | undefined {
  return stream.startsWith(CONVERSATION_PREFIX)
    ? asConversationId(stream.slice(CONVERSATION_PREFIX.length))
    : undefined;
}

/** undefined for any stream that is no snapshot of a conversation. */
export const conversationOfSnapshot = (stream: string): ConversationId | undefined =>
  stream.startsWith(SNAPSHOT_PREFIX) ? asConversationId(stream.slice(SNAPSHOT_PREFIX.length)) : undefined;

/** Two people have one direct conversation, whoever writes first, on whatever node. */
export function directConversationId(one: UserId, other: UserId): ConversationId {
  const [first, second] = one < other ? [one, other] : [other, one];
  return asConversationId(uuidv5(`${first}/${second}`, DIRECT_NAMESPACE));
}

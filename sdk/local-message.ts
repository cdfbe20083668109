import type { EventFrame } from '../src/protocol/events';
import type { MessageDto } from '../src/protocol/schemas';
import type { OutboxEntry } from './stores';

export type MessageSentData = Extract<EventFrame, { event: 'message.sent' }>['data'];
export type LocalContent = MessageSentData['content'] & { readonly body?: string };

/**
 * A message as this device shows it. An optimistic one is `pending`, has no seq yet, and is the same object
 * when it has become `sent` or `failed`.
 */
export interface LocalMessage {
  readonly clientMessageId: string;
  /** Unknown while a first message to somebody waits for its acknowledgement. */
  conversationId: string | undefined;
  state: 'pending' | 'sent' | 'failed';
  seq: number | undefined;
  ordinal: number | undefined;
  messageId: string | undefined;
  senderId: string | undefined;
  /** ISO 8601: the server's, or this device's while pending. */
  at: string;
  /** null: deleted. */
  content: LocalContent | null;
  readonly replyTo: number | undefined;
  readonly originalAt: string | undefined;
  version: number;
  /** Emoji → who. */
  readonly reactions: Map<string, Set<string>>;
}

export function messageFromEvent(data: MessageSentData): LocalMessage {
  return {
    clientMessageId: data.clientMessageId,
    conversationId: data.conversationId,
    state: 'sent',
    seq: data.seq,
    ordinal: data.ordinal,
    messageId: data.messageId,
    senderId: data.by,
    at: data.at,
    content: data.content,
    replyTo: data.replyTo,
    originalAt: data.originalAt,
    version: 1,
    reactions: new Map(),
  };
}

export function messageFromDto(dto: MessageDto): LocalMessage {
  return {
    clientMessageId: dto.clientMessageId,
    conversationId: dto.conversationId,
    state: 'sent',
    seq: dto.seq,
    ordinal: dto.ordinal,
    messageId: dto.messageId,
    senderId: dto.senderId,
    at: dto.at,
    content: dto.content,
    replyTo: dto.replyTo,
    originalAt: dto.originalAt,
    version: dto.version,
    reactions: new Map(dto.reactions.map(({ emoji, userIds }) => [emoji, new Set(userIds)])),
  };
}

/** The message as it is shown before the server knows of it. */
export function optimisticMessage(entry: OutboxEntry, senderId: string | undefined): LocalMessage {
  const { clientMessageId, conversationId, content, replyTo } = entry.data;
  return {
    clientMessageId,
    conversationId,
    state: 'pending',
    seq: undefined,
    ordinal: undefined,
    messageId: undefined,
    senderId,
    at: entry.queuedAt,
    content,
    replyTo,
    originalAt: undefined,
    version: 1,
    reactions: new Map(),
  };
}

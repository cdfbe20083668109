import type { EventFrame } from '../src/protocol/events';
import type { ServerFrameData } from '../src/protocol/frames';
import type { MessageDto } from '../src/protocol/schemas';
import type { Ack } from './outbox';
import { LocalConversation } from './local-conversation';
import { messageFromDto, type LocalMessage } from './local-message';

export type Summary = NonNullable<ServerFrameData<'sync.page'>['conversations'][number]['summary']>;

/** What this device knows of its conversations: the fold of the events it was given. */
export class LocalConversations {
  private readonly byId = new Map<string, LocalConversation>();

  constructor(private readonly ownUserId: () => string | undefined) {}

  get(conversationId: string): LocalConversation | undefined {
    return this.byId.get(conversationId);
  }

  /** Newest activity first. */
  list(): readonly LocalConversation[] {
    return [...this.byId.values()].sort((a, b) => (a.activeAt < b.activeAt ? 1 : -1));
  }

  /** The direct conversation with somebody, if this device knows of it. */
  directWith(userId: string): LocalConversation | undefined {
    return [...this.byId.values()].find(({ kind, members }) => kind === 'direct' && members.has(userId));
  }

  apply(frame: EventFrame): void {
    const conversation = this.open(frame.data.conversationId);
    conversation.apply(frame, this.ownUserId());
  }

  summarise(summary: Summary): void {
    this.open(summary.id).summarise(summary);
  }

  /** What lies before `from` is unknown from here on: messages held from before the gap are let go. */
  dropBefore(conversationId: string, from: number): void {
    this.byId.get(conversationId)?.dropBefore(from);
  }

  remove(conversationId: string): void {
    this.byId.delete(conversationId);
  }

  clear(): void {
    this.byId.clear();
  }

  /** Adds a page of history, as REST gives it, to what is shown. */
  addHistory(messages: readonly MessageDto[]): void {
    for (const dto of messages) this.byId.get(dto.conversationId)?.addOlder(messageFromDto(dto));
  }

  addPending(conversationId: string, message: LocalMessage): void {
    this.byId.get(conversationId)?.pending.set(message.clientMessageId, message);
  }

  acknowledge(message: LocalMessage, ack: Ack): void {
    message.conversationId = ack.conversationId;
    message.senderId ??= this.ownUserId();
    message.seq = ack.seq;
    message.ordinal = ack.ordinal;
    message.messageId = ack.messageId;
    message.at = ack.at;
    message.state = 'sent';
    this.byId.get(ack.conversationId)?.settle(message);
  }

  private open(id: string): LocalConversation {
    const found = this.byId.get(id) ?? new LocalConversation(id);
    this.byId.set(id, found);
    return found;
  }
}

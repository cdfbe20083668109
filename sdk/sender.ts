import type { ServerFrame } from '../src/protocol/frames';
import type { Recipient, SendContent, SendOptions, Sent } from './client-options';
import type { LocalConversations } from './conversations';
import { ClientStopped, ConnectionLost } from './errors';
import type { OutboxChange } from './events';
import { MessageIds } from './ids';
import { optimisticMessage, type LocalMessage } from './local-message';
import { Outbox, type Ack } from './outbox';
import type { OutboxEntry, OutboxStore, SendData } from './stores';

export interface SenderIo {
  request(data: SendData): Promise<ServerFrame>;
  changed(change: OutboxChange): void;
  failed(error: unknown): void;
  ownUserId(): string | undefined;
}

export const contentOf = (content: string | SendContent): SendContent =>
  typeof content === 'string' ? { type: 'text', body: content } : content;

/** Turns what the application sends into outbox entries and the optimistic messages shown for them. */
export class Sender {
  private readonly ids: MessageIds;
  private readonly pending = new Map<string, LocalMessage>();
  private readonly outbox: Outbox;

  constructor(
    private readonly store: OutboxStore,
    private readonly conversations: LocalConversations,
    private readonly io: SenderIo,
    now?: () => number,
  ) {
    this.ids = new MessageIds(now);
    this.outbox = new Outbox(store, {
      send: async (data) => {
        const frame = await io.request(data);
        if (frame.event === 'message.ack') return frame.data;
        throw new ConnectionLost(`message.send answered by ${frame.event}`);
      },
      acknowledged: (entry, ack) => {
        this.acknowledged(entry, ack);
      },
      refused: (entry, error) => {
        this.refused(entry, error);
      },
      failed: (error) => {
        io.failed(error);
      },
    });
  }

  get size(): number {
    return this.outbox.size;
  }

  alignWith(serverTimeMs: number): void {
    this.ids.alignWith(serverTimeMs);
  }

  async restore(): Promise<void> {
    const entries = await this.store.load();
    this.outbox.restore(entries);
    for (const entry of entries) this.show(entry);
  }

  send(recipient: Recipient, content: SendContent, options: SendOptions): Sent {
    const { conversationId, to } = recipient;
    const data: SendData = {
      ...(conversationId === undefined ? {} : { conversationId }),
      ...(to === undefined ? {} : { to }),
      clientMessageId: this.ids.next(),
      content,
      ...options,
    };
    const entry: OutboxEntry = { data, queuedAt: new Date().toISOString() };
    const message = this.show(entry);
    const acked = this.outbox.add(entry);
    // Who does not wait for the outcome learns it from `message.state` and the `outbox` event instead.
    acked.catch((error: unknown) => {
      // An entry of a client that was closed is sent by its next run.
      if (error instanceof ClientStopped) return;
      message.state = 'failed';
      this.pending.delete(message.clientMessageId);
    });
    this.io.changed({ kind: 'queued', message, size: this.size });
    return { message, acked };
  }

  setOpen(open: boolean): void {
    this.outbox.setOpen(open);
  }

  stop(error: ClientStopped): void {
    this.outbox.stop(error);
  }

  saved(): Promise<void> {
    return this.outbox.saved();
  }

  private show(entry: OutboxEntry): LocalMessage {
    const message = optimisticMessage(entry, this.io.ownUserId());
    this.pending.set(message.clientMessageId, message);
    const { conversationId, to } = entry.data;
    const known = conversationId ?? (to === undefined ? undefined : this.conversations.directWith(to)?.id);
    if (known !== undefined) this.conversations.addPending(known, message);
    return message;
  }

  private acknowledged(entry: OutboxEntry, ack: Ack): void {
    const message = this.take(entry);
    if (message !== undefined) this.conversations.acknowledge(message, ack);
    this.io.changed({ kind: 'acknowledged', ack, size: this.size });
  }

  private refused(entry: OutboxEntry, error: Error): void {
    const message = this.take(entry);
    if (message !== undefined) message.state = 'failed';
    const { clientMessageId } = entry.data;
    this.io.changed({ kind: 'refused', clientMessageId, error, size: this.size });
  }

  private take(entry: OutboxEntry): LocalMessage | undefined {
    const { clientMessageId } = entry.data;
    const message = this.pending.get(clientMessageId);
    this.pending.delete(clientMessageId);
    return message;
  }
}

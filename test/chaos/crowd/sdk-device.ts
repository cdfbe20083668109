import { MemoryCursorStore, MemoryOutboxStore, ParleyClient } from '../../../sdk/node';
import { factOf, type Journal } from '../journal';
import type { ChaosDevice, Person } from './person';

/** The SDK as an application holds it. What it hands over is written down: nothing of it may come twice. */
export class SdkDevice implements ChaosDevice {
  readonly journal: Journal;
  private readonly client: ParleyClient;
  private readonly last = new Map<string, number>();
  private socket = 0;
  private isLive = false;

  constructor(
    name: string,
    readonly person: Person,
    url: string,
  ) {
    this.journal = { device: name, userId: person.id, kind: 'application', entries: [], isCaughtUp: false };
    this.client = new ParleyClient({
      url,
      tokenProvider: async ({ renew }) => {
        if (renew) await person.renew();
        return person.token;
      },
      deviceId: name,
      cursorStore: new MemoryCursorStore(),
      outboxStore: new MemoryOutboxStore(),
      syncWindow: 1_000,
      syncRecent: 1_000,
      random: () => 0.1,
    });
    this.listen();
  }

  get waiting(): number {
    return this.client.outboxSize;
  }

  start(): void {
    this.client.connect().catch(() => undefined);
  }

  async stop(): Promise<void> {
    await this.client.close();
  }

  say(conversationId: string, body: string): void {
    const { message, acked } = this.client.send({ conversationId }, body);
    const key = message.clientMessageId;
    // The SDK sends again by itself; in which order, is its business until the acknowledgement.
    this.journal.entries.push({ type: 'sent', socket: 0, conversationId, key });
    acked.catch((error: unknown) => {
      this.journal.entries.push({ type: 'refused', key, code: String(error), retryable: false });
    });
  }

  has(conversationId: string, seq: number): boolean {
    return this.isLive && (this.last.get(conversationId) ?? -1) >= seq;
  }

  private listen(): void {
    const { client, journal } = this;
    client.on('connected', () => {
      journal.entries.push({ type: 'ready', socket: ++this.socket });
    });
    client.on('synced', () => {
      this.isLive = true;
    });
    client.on('disconnected', () => {
      this.isLive = false;
    });
    client.on('event', ({ event, data }) => {
      const { conversationId, seq } = data;
      const fact = factOf(data.at, data);
      journal.entries.push({
        type: 'seen',
        socket: this.socket,
        via: 'push',
        conversationId,
        seq,
        event,
        fact,
      });
      this.last.set(conversationId, Math.max(seq, this.last.get(conversationId) ?? -1));
    });
    client.on('limited', ({ conversationId, from, headSeq }) => {
      const page = { conversationId, from, headSeq, limited: true, removed: false };
      journal.entries.push({ type: 'page', socket: this.socket, ...page });
    });
    client.on('outbox', (change) => {
      if (change.kind !== 'acknowledged') return;
      const { conversationId, clientMessageId: key, seq, ordinal } = change.ack;
      journal.entries.push({ type: 'acked', socket: this.socket, conversationId, key, seq, ordinal });
    });
    client.on('error', () => undefined);
  }
}

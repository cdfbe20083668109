import { ClientStopped, MemoryCursorStore, MemoryOutboxStore, ParleyApi, ParleyClient } from '../../sdk';
import type { EventFrame } from '../../src/protocol/events';
import { Line } from './line';
import type { Measurements } from './measurements';

/** The most that one sync may bring per conversation: a demo's absences stay below it. */
const SYNC_WINDOW = 1_000;
const ONLINE_WAIT_MAX_MS = 30_000;
const ONLINE_POLL_MS = 20;

export interface Sighting {
  readonly seq: number;
  readonly event: string;
}

/** Somebody of the log, with an account and one device, which writes down every event it is given. */
export class Person {
  readonly seen: Sighting[] = [];
  /** Keys of messages this device was told are stored → their seq. */
  readonly acknowledged = new Map<string, number>();
  /** Greatest seq this person has marked as read. */
  readUpTo = -1;
  private readonly line = new Line();
  private readonly cursorStore = new MemoryCursorStore();
  private readonly outboxStore = new MemoryOutboxStore();
  private client: ParleyClient;
  /** Live since then, by the clock of `performance.now()`; undefined: offline, or catching up. */
  private liveSince: number | undefined;
  private doing: Promise<unknown> = Promise.resolve();
  private readonly unacknowledged = new Set<Promise<unknown>>();

  constructor(
    readonly nick: string,
    readonly api: ParleyApi,
    private readonly url: string,
    private readonly room: () => string | undefined,
    private readonly measurements: Measurements,
  ) {
    this.client = this.newClient();
  }

  get id(): string {
    const id = this.api.session?.user.id;
    if (id === undefined) throw new Error(`${this.nick} has no account`);
    return id;
  }

  get isOnline(): boolean {
    return this.liveSince !== undefined;
  }

  connect(): Promise<void> {
    return this.client.connect();
  }

  /** What one person does happens in order; a failure is the demo's failure. */
  next(action: () => Promise<unknown>): Promise<unknown> {
    this.doing = this.doing.then(action);
    return this.doing;
  }

  /**
   * Queues the message; it is sent at once, or when there is a connection again. Resolves with its seq;
   * undefined: the application was closed before it knew, and the one started next sends it from the outbox.
   */
  say(conversationId: string, body: string, replyTo: number | undefined): Promise<number | undefined> {
    const { message, acked } = this.client.send(
      { conversationId },
      body,
      replyTo === undefined ? {} : { replyTo },
    );
    this.measurements.sent(message.clientMessageId, this.isOnline);
    const told = acked.then(
      ({ clientMessageId, seq }) => {
        this.acknowledged.set(clientMessageId, seq);
        return seq;
      },
      (error: unknown) => {
        if (error instanceof ClientStopped) return undefined;
        throw error;
      },
    );
    this.unacknowledged.add(told);
    void told.finally(() => this.unacknowledged.delete(told)).catch(() => undefined);
    return told;
  }

  /** Resolves when all this person did so far is done, and everything said is stored. */
  async settled(): Promise<void> {
    await this.doing;
    await this.settledSends();
  }

  async settledSends(): Promise<void> {
    await Promise.all(this.unacknowledged);
  }

  /** Whoever leaves does it on their device: not before it is online and has what it missed. */
  async whenOnline(): Promise<void> {
    for (let waitedMs = 0; !this.isOnline && waitedMs < ONLINE_WAIT_MAX_MS; waitedMs += ONLINE_POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, ONLINE_POLL_MS));
    }
  }

  read(conversationId: string): void {
    const last = this.seen.findLast(({ event }) => event === 'message.sent')?.seq ?? -1;
    if (last <= this.readUpTo) return;
    this.readUpTo = last;
    this.client.read(conversationId, last);
  }

  /** The network goes away without a word. */
  loseConnection(): void {
    this.liveSince = undefined;
    this.line.cut();
  }

  regainConnection(): void {
    this.line.mend();
  }

  /** The application is closed; what it must remember is in its stores. */
  async shutDown(): Promise<void> {
    this.liveSince = undefined;
    await this.client.close();
  }

  async startAgain(): Promise<void> {
    this.client = this.newClient();
    await this.client.connect();
  }

  private newClient(): ParleyClient {
    const client = new ParleyClient({
      url: this.url,
      tokenProvider: this.api.token,
      deviceId: `demo-${this.api.session?.user.id ?? ''}`,
      cursorStore: this.cursorStore,
      outboxStore: this.outboxStore,
      syncWindow: SYNC_WINDOW,
      WebSocket: this.line.WebSocket,
    });
    client.on('event', (frame) => {
      this.sees(frame);
    });
    client.on('synced', () => {
      if (this.line.isUp) this.liveSince = performance.now();
    });
    client.on('disconnected', () => {
      this.liveSince = undefined;
    });
    client.on('error', (error) => {
      this.measurements.failed(`${this.nick}: ${String(error)}`);
    });
    return client;
  }

  private sees(frame: EventFrame): void {
    if (frame.data.conversationId !== this.room()) return;
    this.seen.push({ seq: frame.data.seq, event: frame.event });
    if (frame.event === 'message.sent') {
      this.measurements.delivered(frame.data.clientMessageId, this.liveSince);
    }
  }
}

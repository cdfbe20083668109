import { WebSocket, type RawData } from 'ws';
import { MessageIds } from '../../../sdk/ids';
import { factOf, type Journal } from '../journal';
import type { ChaosDevice, Person } from './person';
import { ask } from './rest';

const HANDSHAKE_TIMEOUT_MS = 8_000;
/** A peer that says nothing for so long, asked again and again, is gone: the way out of a half-open connection. */
const SILENCE_MAX_MS = 10_000;
const PING_MS = 2_000;
const RECEIPTS_MS = 400;
const RETRY_MS = 150;
const SYNC_WINDOW = 1_000;
/** Close code of PROTOCOL.md: reconnect with a new token. */
const TOKEN_INVALID = 4004;
/** One of so many acknowledgements is followed by a read that must have the message. */
const READ_BACK_EVERY = 12;

interface Wish {
  readonly conversationId: string;
  readonly body: string;
}

interface Options {
  readonly name: string;
  readonly person: Person;
  /** Where to connect next: a device behind a balancer does not come back to the node it was on. */
  readonly url: () => string;
  readonly random: () => number;
  readonly silenceMaxMs?: number;
}

interface Frame {
  readonly event: string;
  readonly id?: string;
  readonly data: Record<string, unknown>;
}

/**
 * A device written from PROTOCOL.md alone. It holds on: what is not acknowledged goes out again under the same key,
 * over as many connections as it takes; and it writes down all it is told.
 */
export class WireDevice implements ChaosDevice {
  readonly journal: Journal;
  private readonly cursors = new Map<string, number>();
  /** Pushed while a sync is under way: they count when it is done. */
  private readonly ahead = new Map<string, number>();
  private readonly outbox = new Map<string, Wish>();
  private readonly ids = new MessageIds();
  private readonly toConfirm = new Set<string>();
  private readonly readBacks = new Set<Promise<void>>();
  private socket: WebSocket | undefined;
  private socketNumber = 0;
  private frameNumber = 0;
  private epoch: string | undefined;
  private isReady = false;
  private isSynced = false;
  private isStopped = false;
  private heardAt = 0;
  private running: Promise<void> = Promise.resolve();
  private acks = 0;

  constructor(private readonly options: Options) {
    const { name, person } = options;
    this.journal = { device: name, userId: person.id, kind: 'wire', entries: [], isCaughtUp: false };
  }

  get person(): Person {
    return this.options.person;
  }

  get waiting(): number {
    return this.outbox.size;
  }

  start(): void {
    this.isStopped = false;
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.socket?.terminate();
    await this.running;
    await Promise.all(this.readBacks);
  }

  say(conversationId: string, body: string): void {
    const key = this.ids.next();
    this.outbox.set(key, { conversationId, body });
    if (this.isReady) this.send(key);
  }

  /** A change that nobody insists on: an edit, a reaction, a deletion. */
  act(event: string, data: object): void {
    if (this.isReady) this.write(event, `act-${++this.frameNumber}`, data);
  }

  has(conversationId: string, seq: number): boolean {
    return this.isSynced && (this.cursors.get(conversationId) ?? -1) >= seq;
  }

  private async run(): Promise<void> {
    while (!this.isStopped) {
      await this.connection();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * (0.5 + this.options.random())));
    }
  }

  /** One connection from its opening to its end, whatever ends it. */
  private async connection(): Promise<void> {
    const number = ++this.socketNumber;
    const socket = new WebSocket(`${this.options.url().replace(/^http/, 'ws')}/ws`, {
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.socket = socket;
    this.heardAt = Date.now();
    const timers = [
      setInterval(() => {
        this.watch(socket);
      }, PING_MS),
      setInterval(() => {
        this.confirm();
      }, RECEIPTS_MS),
    ];
    const code = await new Promise<number>((resolve) => {
      socket.on('open', () => {
        const { token } = this.person;
        this.write('auth', 'auth', { token, deviceId: this.options.name });
      });
      socket.on('message', (raw: RawData) => {
        this.heardAt = Date.now();
        this.take(JSON.parse((raw as Buffer).toString('utf8')) as Frame, number);
      });
      socket.on('error', () => undefined);
      socket.on('close', resolve);
    });
    this.journal.entries.push({ type: 'closed', socket: number, code });
    for (const timer of timers) clearInterval(timer);
    this.isReady = this.isSynced = false;
    // What came in a sync that never ended counts for nothing: the next one gives it again.
    this.ahead.clear();
    if (code === TOKEN_INVALID) await this.person.renew().catch(() => undefined);
  }

  private watch(socket: WebSocket): void {
    if (Date.now() - this.heardAt > (this.options.silenceMaxMs ?? SILENCE_MAX_MS)) socket.terminate();
    else if (this.isReady) this.write('ping', 'ping', undefined);
  }

  private write(event: string, id: string, data: object | undefined): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ event, id, ...(data === undefined ? {} : { data }) }));
  }

  private take(frame: Frame, socket: number): void {
    const { event, data, id } = frame;
    switch (event) {
      case 'ready':
        this.begin(socket, String(data['epoch']));
        return;
      case 'sync.page':
        this.takePage(data['conversations'] as PageData[], socket);
        return;
      case 'sync.done':
        this.takeDone(socket);
        return;
      case 'message.ack':
        this.takeAck(data, socket);
        return;
      case 'resync':
        this.journal.entries.push({
          type: 'resync',
          socket,
          conversationIds: data['conversationIds'] as string[],
        });
        this.sync(socket);
        return;
      case 'error':
        this.takeError(id, data, socket);
        return;
      default:
        if (typeof data['seq'] === 'number' && typeof data['at'] === 'string') this.takeEvent(frame, socket);
    }
  }

  private begin(socket: number, epoch: string): void {
    this.journal.entries.push({ type: 'ready', socket });
    this.epoch = epoch;
    this.isReady = true;
    this.sync(socket);
    for (const key of this.outbox.keys()) this.send(key);
  }

  private sync(socket: number): void {
    this.isSynced = false;
    const cursors = Object.fromEntries(this.cursors);
    this.journal.entries.push({ type: 'syncAsked', socket, cursors });
    this.write('sync', 'sync', { epoch: this.epoch, cursors, window: SYNC_WINDOW, recent: 1_000 });
  }

  private takePage(conversations: readonly PageData[], socket: number): void {
    for (const { conversationId, events, from, headSeq, limited, removed = false } of conversations) {
      this.journal.entries.push({ type: 'page', socket, conversationId, from, headSeq, limited, removed });
      for (const { event, data } of events) this.note(event, data, socket, 'page');
      this.ahead.set(conversationId, Math.max(headSeq, this.ahead.get(conversationId) ?? -1));
    }
  }

  private takeDone(socket: number): void {
    this.journal.entries.push({ type: 'synced', socket });
    for (const [id, seq] of this.ahead) this.advance(id, seq);
    this.ahead.clear();
    this.isSynced = true;
  }

  private takeEvent({ event, data }: Frame, socket: number): void {
    this.note(event, data, socket, 'push');
    const [id, seq] = [String(data['conversationId']), Number(data['seq'])];
    if (this.isSynced) this.advance(id, seq);
    else this.ahead.set(id, Math.max(seq, this.ahead.get(id) ?? -1));
  }

  private note(event: string, data: Record<string, unknown>, socket: number, via: 'push' | 'page'): void {
    const [conversationId, seq] = [String(data['conversationId']), Number(data['seq'])];
    const fact = factOf(String(data['at']), data);
    this.journal.entries.push({ type: 'seen', socket, via, conversationId, seq, event, fact });
    if (event === 'message.sent' && data['by'] !== this.person.id) this.toConfirm.add(conversationId);
  }

  private advance(conversationId: string, seq: number): void {
    if (seq > (this.cursors.get(conversationId) ?? -1)) this.cursors.set(conversationId, seq);
  }

  private send(key: string): void {
    const wish = this.outbox.get(key);
    if (wish === undefined) return;
    const { conversationId, body } = wish;
    this.journal.entries.push({ type: 'sent', socket: this.socketNumber, conversationId, key });
    const content = { type: 'text', body };
    this.write('message.send', `send-${key}`, { conversationId, clientMessageId: key, content });
  }

  private takeAck(data: Record<string, unknown>, socket: number): void {
    const [conversationId, key] = [String(data['conversationId']), String(data['clientMessageId'])];
    const [seq, ordinal] = [Number(data['seq']), Number(data['ordinal'])];
    this.journal.entries.push({ type: 'acked', socket, conversationId, key, seq, ordinal });
    this.outbox.delete(key);
    if (++this.acks % READ_BACK_EVERY !== 0) return;
    const reading = this.readBack(conversationId, seq, ordinal).finally(() => this.readBacks.delete(reading));
    this.readBacks.add(reading);
  }

  /** Read your writes; only a read that is answered tells anything. */
  private async readBack(conversationId: string, seq: number, ordinal: number): Promise<void> {
    const path = `/conversations/${conversationId}/messages?around=${seq}&limit=3&minSeq=${seq}`;
    const { token } = this.person;
    const answer = await ask(this.options.url(), 'GET', path, { token }).catch(() => undefined);
    if (answer?.status !== 200) return;
    const items = answer.body['items'] as { seq: number; ordinal: number }[];
    const found = items.some((item) => item.seq === seq && item.ordinal === ordinal);
    this.journal.entries.push({ type: 'readBack', conversationId, seq, found });
  }

  private takeError(id: string | undefined, data: Record<string, unknown>, socket: number): void {
    if (id === 'sync') {
      setTimeout(() => {
        if (socket === this.socketNumber && this.isReady) this.sync(socket);
      }, RETRY_MS);
      return;
    }
    const key = id?.startsWith('send-') === true ? id.slice('send-'.length) : undefined;
    if (key === undefined) return;
    const retryable = data['retryable'] === true;
    this.journal.entries.push({ type: 'refused', key, code: String(data['code']), retryable });
    if (!retryable) {
      this.outbox.delete(key);
      return;
    }
    setTimeout(() => {
      if (socket === this.socketNumber && this.isReady) this.send(key);
    }, RETRY_MS);
  }

  /** Receipts for what came, as devices send them: delivered always, read now and then. */
  private confirm(): void {
    if (!this.isSynced || this.toConfirm.size === 0) return;
    const ids = [...this.toConfirm].filter((id) => this.cursors.has(id));
    this.toConfirm.clear();
    for (const id of ids) {
      const upTo = this.cursors.get(id) ?? 0;
      this.write('delivered', `act-${++this.frameNumber}`, { cursors: { [id]: upTo } });
      if (this.options.random() < 0.3) {
        this.write('read', `act-${++this.frameNumber}`, { conversationId: id, upTo });
      }
    }
  }
}

interface PageData {
  readonly conversationId: string;
  readonly events: readonly { readonly event: string; readonly data: Record<string, unknown> }[];
  readonly from: number;
  readonly headSeq: number;
  readonly limited: boolean;
  readonly removed?: boolean;
}

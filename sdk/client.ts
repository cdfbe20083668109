import type { EventFrame } from '../src/protocol/events';
import type { ClientFrameData, ServerFrame, ServerFrameData } from '../src/protocol/frames';
import type { ClientOptions, Recipient, SendContent, SendOptions, Sent } from './client-options';
import { Connection, type Ready, type SocketConstructor } from './connection';
import { LocalConversations } from './conversations';
import { Emitter } from './emitter';
import { ClientStopped, ParleyError, type StopReason } from './errors';
import type { ClientEvents } from './events';
import { isHint, isStored, seqOf } from './frames';
import { Receipts } from './receipts';
import { contentOf, Sender, type SenderIo } from './sender';
import { Standing, type OwnStatus } from './standing';
import { LatestWriter, MemoryCursorStore, MemoryOutboxStore, type CursorStore } from './stores';
import { Synchronizer, type SyncedConversation } from './synchronizer';
import { newDeviceId, tokenSource } from './tokens';

export const DELIVERED_WINDOW_MS = 200;
/** How long cursors gather before they are saved: at most this much is handed over again after a crash. */
export const CURSOR_SAVE_DELAY_MS = 100;

/**
 * A device: connects, comes back, catches up, and never hands the application an event twice or out of order
 * within a conversation. What is sent while offline waits in the outbox.
 */
export class ParleyClient {
  readonly conversations = new LocalConversations(() => this.userId);
  readonly deviceId: string;
  private readonly emitter = new Emitter<ClientEvents>((error) => {
    this.report(error);
  });
  private readonly connection: Connection;
  private readonly sender: Sender;
  private readonly receipts: Receipts;
  private readonly standing: Standing;
  private readonly synchronizer: Synchronizer;
  private readonly cursorStore: CursorStore;
  private readonly cursorWriter: LatestWriter;
  private cursorTimer: ReturnType<typeof setTimeout> | undefined;
  private ready: Ready | undefined;
  private restored: Promise<void> | undefined;
  private moved = 0;
  private reporting = false;

  constructor(private readonly options: ClientOptions) {
    this.deviceId = options.deviceId ?? newDeviceId();
    this.cursorStore = options.cursorStore ?? new MemoryCursorStore();
    this.connection = this.makeConnection();
    const failed = this.report.bind(this);
    const senderIo: SenderIo = {
      request: (data) => this.connection.request('message.send', data),
      changed: (change) => {
        this.emitter.emit('outbox', change);
      },
      failed,
      ownUserId: () => this.userId,
    };
    const outbox = options.outboxStore ?? new MemoryOutboxStore();
    this.sender = new Sender(outbox, this.conversations, senderIo, options.now);
    this.receipts = new Receipts(
      {
        delivered: (cursors) => this.connection.request('delivered', { cursors }),
        read: (conversationId, upTo) => this.connection.request('read', { conversationId, upTo }),
        failed,
      },
      options.deliveredWindowMs ?? DELIVERED_WINDOW_MS,
    );
    this.standing = new Standing((event, data) => this.connection.request(event, data), {
      failed,
      presences: (presences) => {
        for (const presence of presences) this.emitter.emit('presence', presence);
      },
    });
    this.synchronizer = this.makeSynchronizer();
    this.cursorWriter = new LatestWriter(() => this.saveCursors(), failed);
  }

  /** This user's id, once connected. */
  get userId(): string | undefined {
    return this.ready?.userId;
  }

  get isConnected(): boolean {
    return this.connection.isUp;
  }

  /** Messages not yet acknowledged. */
  get outboxSize(): number {
    return this.sender.size;
  }

  /** @returns a function that takes the handler away again */
  on<Name extends keyof ClientEvents>(
    name: Name,
    handler: (value: ClientEvents[Name]) => unknown,
  ): () => void {
    return this.emitter.on(name, handler);
  }

  /** Resolves at the first `synced`. @throws ClientStopped when there is no use in trying on */
  async connect(): Promise<void> {
    this.restored ??= this.restore();
    await this.restored;
    await new Promise<void>((resolve, reject) => {
      const offSynced = this.on('synced', () => {
        offSynced();
        offStopped();
        resolve();
      });
      const offStopped = this.on('stopped', ({ reason }) => {
        offSynced();
        offStopped();
        reject(new ClientStopped(reason));
      });
      this.connection.start();
    });
  }

  /** Queues a message; it is sent as soon as there is a connection, also after a restart. */
  send(recipient: Recipient, content: string | SendContent, options: SendOptions = {}): Sent {
    return this.sender.send(recipient, contentOf(content), options);
  }

  /** @returns the seq of the edit. @throws ParleyError, ConnectionLost (as all requests below) */
  async edit(
    conversationId: string,
    target: number,
    content: string | SendContent,
  ): Promise<number | undefined> {
    const body: SendContent = typeof content === 'string' ? { type: 'text', body: content } : content;
    return seqOf(await this.connection.request('message.edit', { conversationId, target, content: body }));
  }

  async delete(
    conversationId: string,
    target: number,
    scope: 'everyone' | 'me' = 'everyone',
  ): Promise<number | undefined> {
    return seqOf(await this.connection.request('message.delete', { conversationId, target, scope }));
  }

  async react(conversationId: string, target: number, emoji: string, on = true): Promise<number | undefined> {
    return seqOf(await this.connection.request('reaction.set', { conversationId, target, emoji, on }));
  }

  /** This user has read up to and including `upTo`; sent at once, or as soon as there is a connection. */
  read(conversationId: string, upTo: number): void {
    this.conversations.get(conversationId)?.markRead(upTo);
    this.receipts.markRead(conversationId, upTo);
  }

  /** For `autoDelivered: false`: this device has received up to and including `upTo`. */
  delivered(conversationId: string, upTo: number): void {
    this.receipts.markDelivered(conversationId, upTo);
  }

  /** A hint; dropped while offline. */
  typing(conversationId: string, isTyping = true): void {
    this.connection.notify('typing', { conversationId, isTyping });
  }

  /** Holds over reconnects. */
  setPresence(status: OwnStatus, customStatus?: string): void {
    this.standing.setPresence(status, customStatus);
  }

  /** Presence of these users comes as `presence` events, now and at every change, over reconnects. */
  watchPresence(userIds: readonly string[]): void {
    this.standing.watch(userIds);
  }

  unwatchPresence(userIds: readonly string[]): void {
    this.standing.unwatch(userIds);
  }

  /** The conversation on screen; undefined: none. Holds over reconnects. */
  focus(conversationId: string | undefined): void {
    this.standing.focus(conversationId);
  }

  callSignal(data: ClientFrameData<'call.signal'>): Promise<ServerFrame> {
    return this.connection.request('call.signal', data);
  }

  /** Goes on with a new token on the same socket. */
  async reauth(token: string): Promise<void> {
    await this.connection.request('reauth', { token });
  }

  /** Sends the last receipts, saves cursors and outbox, hangs up, and stays down. */
  async close(): Promise<void> {
    await this.receipts.flush();
    this.connection.stop('closed');
    clearTimeout(this.cursorTimer);
    await Promise.all([this.cursorWriter.saved(), this.sender.saved()]);
  }

  private async restore(): Promise<void> {
    const [cursors] = await Promise.all([this.cursorStore.load(), this.sender.restore()]);
    this.synchronizer.restore(cursors);
  }

  private makeConnection(): Connection {
    const { options } = this;
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
    if (WebSocket === undefined) {
      throw new TypeError('no global WebSocket here: pass one, or import the client from sdk/node');
    }
    return new Connection(
      {
        url: options.url,
        deviceId: this.deviceId,
        deviceName: options.deviceName,
        platform: options.platform,
        WebSocket,
        token: tokenSource(options),
        random: options.random ?? Math.random,
      },
      {
        ready: (ready) => {
          this.begin(ready);
        },
        push: (frame) => {
          this.push(frame);
        },
        down: (why, retryInMs) => {
          this.pauseAll();
          this.emitter.emit('disconnected', { why, retryInMs });
        },
        stopped: (reason) => {
          this.end(reason);
        },
        failed: (error) => {
          this.report(error);
        },
      },
    );
  }

  private makeSynchronizer(): Synchronizer {
    return new Synchronizer(
      {
        sync: (data, page) => this.connection.request('sync', data, page),
        event: (frame, from) => {
          this.handOver(frame, from);
        },
        again: (frame) => {
          this.conversations.apply(frame);
        },
        limited: ({ conversationId, from, headSeq }) => {
          this.conversations.dropBefore(conversationId, from);
          this.emitter.emit('limited', { conversationId, from, headSeq });
        },
        page: (conversation) => {
          this.pageDone(conversation);
        },
        epochChanged: (epoch) => {
          this.conversations.clear();
          this.receipts.clear();
          this.emitter.emit('epoch', { epoch });
        },
        synced: () => {
          this.connection.healthy();
          this.scheduleCursors();
          this.emitter.emit('synced', { conversations: this.moved });
        },
        failed: (error) => {
          this.report(error);
          this.connection.reset('sync refused');
        },
      },
      { recent: this.options.syncRecent, window: this.options.syncWindow },
    );
  }

  private begin(ready: Ready): void {
    this.ready = ready;
    this.moved = 0;
    this.sender.alignWith(Date.parse(ready.serverTime));
    this.emitter.emit('connected', ready);
    this.synchronizer.begin(ready.epoch, ready.limits['syncCursorsMax'] ?? Infinity);
    this.standing.restore();
    this.sender.setOpen(true);
    this.receipts.setOpen(true);
  }

  private pauseAll(): void {
    this.sender.setOpen(false);
    this.receipts.setOpen(false);
    this.standing.pause();
    this.synchronizer.lost();
  }

  private end(reason: StopReason): void {
    this.pauseAll();
    this.sender.stop(new ClientStopped(reason));
    this.emitter.emit('stopped', { reason });
  }

  private push(frame: ServerFrame): void {
    if (isStored(frame)) this.synchronizer.push(frame);
    else if (isHint(frame)) {
      if (frame.event === 'conversation.activity') this.announce(frame.data);
      this.emitTyped(frame.event, frame.data);
    } else if (frame.event === 'error') this.report(new ParleyError(frame.data as ParleyError['problem']));
    else if (frame.event === 'resync') {
      this.emitter.emit('resync', frame.data);
      this.synchronizer.resync();
    }
    // What is left answers somebody who no longer waits, or is news from a newer server.
  }

  /** A very large conversation that is not on screen: its events come by the sync that focusing it leads to. */
  private announce({ conversationId, headSeq, headOrdinal }: ServerFrameData<'conversation.activity'>): void {
    const known = this.conversations.get(conversationId);
    if (known === undefined) this.synchronizer.resync();
    else known.announce(headSeq, headOrdinal);
  }

  private handOver(frame: EventFrame, from: 'push' | 'page'): void {
    this.conversations.apply(frame);
    this.emitter.emit('event', frame);
    this.emitTyped(frame.event, frame.data);
    const { conversationId, seq, by } = frame.data;
    if (from === 'push') this.settleCount(conversationId, { now: true });
    this.confirmRead(frame);
    const foreign = frame.event === 'message.sent' && by !== this.userId;
    if (foreign && this.options.autoDelivered !== false) this.receipts.markDelivered(conversationId, seq);
    // In a sync it may be an earlier leaving of somebody who came back: there, `removed` of the page is the word.
    const isOwn = frame.event === 'membership.changed' && frame.data.userId === this.userId;
    if (isOwn && from === 'push') {
      if (frame.data.change === 'left' || frame.data.change === 'removed') this.left(conversationId);
    }
    this.scheduleCursors();
  }

  /** What one wrote oneself is read by oneself, without an event that says so. */
  private confirmRead({ event, data }: EventFrame): void {
    const { conversationId } = data;
    if (event === 'message.sent' && data.by === this.userId)
      this.receipts.confirmRead(conversationId, data.seq);
    if (event !== 'message.read') return;
    const own = data.cursors.find(({ userId }) => userId === this.userId);
    if (own !== undefined) this.receipts.confirmRead(conversationId, own.upTo);
  }

  private emitTyped<Name extends keyof ClientEvents>(name: Name, data: ClientEvents[Name]): void {
    this.emitter.emit(name, data);
  }

  private pageDone(conversation: SyncedConversation): void {
    this.moved += 1;
    if (conversation.removed === true) {
      this.left(conversation.conversationId);
      return;
    }
    if (conversation.summary !== null) {
      this.receipts.confirmRead(conversation.conversationId, conversation.summary.readUpTo);
      this.conversations.summarise(conversation.summary);
    }
    // Without a summary now, the server says by `resync` when it has one.
    this.settleCount(conversation.conversationId, { now: conversation.summary !== null });
    this.emitter.emit('conversation', conversation);
  }

  private settleCount(conversationId: string, when: { readonly now: boolean }): void {
    if (this.conversations.get(conversationId)?.isUncertain !== true) return;
    this.synchronizer.summaryNeeded(conversationId, when);
  }

  private left(conversationId: string): void {
    if (this.conversations.get(conversationId) === undefined) return;
    this.synchronizer.forget(conversationId);
    this.conversations.remove(conversationId);
    this.receipts.forget(conversationId);
    this.emitter.emit('removed', { conversationId });
  }

  private scheduleCursors(): void {
    this.cursorTimer ??= setTimeout(() => {
      this.cursorTimer = undefined;
      void this.cursorWriter.saved();
    }, CURSOR_SAVE_DELAY_MS);
  }

  /** Cursors as of now reach the store only after every handler of the events up to them has finished. */
  private async saveCursors(): Promise<void> {
    const state = this.synchronizer.state();
    await this.emitter.settled();
    await this.cursorStore.save(state);
  }

  private report(error: unknown): void {
    // An `error` handler that throws must not be told of its own error for ever.
    if (this.reporting) return;
    this.reporting = true;
    this.emitter.emit('error', error);
    this.reporting = false;
  }
}

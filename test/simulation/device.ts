import { MemoryCursorStore, MemoryOutboxStore, ParleyClient, type Ack, type OutboxChange } from '../../sdk';
import type { CursorState, OutboxEntry } from '../../sdk/stores';
import { asConversationId, type UserId } from '../../src/kernel/ids';
import type { EventFrame } from '../../src/protocol/events';
import type { TrueLog } from './chronicle';
import { DeviceSocket, type Link } from './network';
import type { Random } from './random';
import type { Trace } from './trace';
import type { VirtualTime } from './virtual-time';

/** Flash that takes its time: what was being written when the device died is as it was before. */
class SlowCursors extends MemoryCursorStore {
  isDead = false;

  constructor(
    private readonly disk: { cursors: CursorState },
    private readonly write: () => Promise<void>,
  ) {
    super(disk.cursors);
  }

  override async save(state: CursorState): Promise<void> {
    await this.write();
    if (!this.isDead) this.disk.cursors = state;
  }
}

class SlowOutbox extends MemoryOutboxStore {
  isDead = false;

  constructor(
    private readonly disk: { outbox: readonly OutboxEntry[] },
    private readonly write: () => Promise<void>,
  ) {
    super(disk.outbox);
  }

  override async save(entries: readonly OutboxEntry[]): Promise<void> {
    await this.write();
    if (!this.isDead) this.disk.outbox = entries;
  }
}

interface Sent {
  readonly body: string;
  seq: number | undefined;
  acknowledgedIn: string;
  /** The device was killed before it could write the message down. */
  isForgotten: boolean;
}

export interface DeviceSurroundings {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly trace: Trace;
  readonly log: TrueLog;
  dial(device: Device, socket: DeviceSocket): void;
}

/**
 * A person's device over all its runs: the real SDK, what survives on its disk, and a memory of everything it was told,
 * which each new word is held against.
 */
export class Device {
  client: ParleyClient | undefined;
  readonly disk: { cursors: CursorState; outbox: readonly OutboxEntry[] } = {
    cursors: { epoch: undefined, cursors: {} },
    outbox: [],
  };
  /** Up to where the device has everything it may see, by conversation; -1: from the beginning. */
  readonly progress = new Map<string, number>();
  readonly sent = new Map<string, Sent>();
  readonly refused = new Set<string>();
  /** Conversations whose members, title and counts this run was told, by their start or summed up in a sync. */
  introduced = new Set<string>();
  /** Highest seq of each conversation that this run was handed. */
  /** What the device's clock says beside the time. */
  clockMs = 0;
  /** Its next connection is stranded for so long. */
  strandNextMs: number | undefined;
  private run = new Map<string, number>();
  private skipTo = new Map<string, number>();
  private stores: { isDead: boolean }[] = [];
  private sockets: DeviceSocket[] = [];

  constructor(
    readonly userId: UserId,
    readonly name: string,
    private readonly around: DeviceSurroundings,
    private readonly syncWindow: number | undefined,
  ) {}

  get isRunning(): boolean {
    return this.client !== undefined;
  }

  /** The connection it uses, or used last. */
  get link(): Link | undefined {
    return this.sockets.at(-1)?.link;
  }

  start(): void {
    if (this.client !== undefined) return;
    const { time, random, trace } = this.around;
    trace.note(`device  ${this.name} starts`);
    const write = (): Promise<void> => time.sleep(random.delayMs(5));
    const cursorStore = new SlowCursors(this.disk, write);
    const outboxStore = new SlowOutbox(this.disk, write);
    this.stores = [cursorStore, outboxStore];
    this.run = new Map();
    this.introduced = new Set();
    const dial = (socket: DeviceSocket): void => {
      this.sockets = [...this.sockets.filter(({ isOver }) => !isOver), socket];
      this.around.dial(this, socket);
    };
    const WebSocket = class extends DeviceSocket {
      constructor() {
        super();
        dial(this);
      }
    };
    const client = new ParleyClient({
      url: 'http://simulated',
      token: this.userId,
      deviceId: this.name,
      WebSocket,
      cursorStore,
      outboxStore,
      random: () => random.next(),
      now: () => time.now + this.clockMs,
      ...(this.syncWindow === undefined ? {} : { syncWindow: this.syncWindow }),
    });
    this.client = client;
    this.listen(client);
    void client.connect().catch(() => undefined);
  }

  /** The process is killed: what was not written is lost, and its sockets go. */
  kill(isSilent: boolean): void {
    if (this.client === undefined) return;
    this.around.trace.note(`device  ${this.name} is killed`);
    for (const store of this.stores) store.isDead = true;
    for (const socket of this.sockets) {
      if (isSilent) socket.vanish();
      else socket.close();
    }
    const written = new Set(this.disk.outbox.map(({ data }) => data.clientMessageId));
    for (const [key, sent] of this.sent) sent.isForgotten ||= sent.seq === undefined && !written.has(key);
    const { client } = this;
    this.client = undefined;
    // Its timers have to end; what it would still say is heard by nobody.
    void client.close();
  }

  send(recipient: { readonly conversationId?: string; readonly to?: string }, body: string): void {
    if (this.client === undefined) return;
    const { message } = this.client.send(recipient, body);
    this.sent.set(message.clientMessageId, {
      body,
      seq: undefined,
      acknowledgedIn: '',
      isForgotten: false,
    });
    this.around.trace.note(`device  ${this.name} sends ${JSON.stringify(body)}`);
  }

  private listen(client: ParleyClient): void {
    const { trace } = this.around;
    const mine = <T>(hear: (value: T) => void) => {
      return (value: T): void => {
        if (this.client === client) hear(value);
      };
    };
    client.on(
      'event',
      mine((frame) => {
        this.hear(frame);
      }),
    );
    client.on(
      'conversation',
      mine(({ conversationId, summary, limited }) => {
        // What was left out may have been a new title, and nobody could say.
        if (summary === null && limited) this.introduced.delete(conversationId);
        if (summary !== null) this.introduced.add(conversationId);
      }),
    );
    client.on(
      'removed',
      mine(({ conversationId }) => {
        // Of what happens until they come back, only a summary tells.
        this.introduced.delete(conversationId);
      }),
    );
    client.on(
      'limited',
      mine(({ conversationId, from }) => {
        trace.note(`device  ${this.name} skips to ${this.nameOf(conversationId)}/${from}`);
        this.skipTo.set(conversationId, from);
      }),
    );
    client.on(
      'outbox',
      mine((change) => {
        this.settle(change);
      }),
    );
    client.on(
      'connected',
      mine(() => {
        trace.note(`device  ${this.name} connected`);
      }),
    );
    client.on(
      'synced',
      mine(() => {
        trace.note(`device  ${this.name} synced`);
      }),
    );
    client.on(
      'disconnected',
      mine(({ why }) => {
        trace.note(`device  ${this.name} lost: ${why}`);
      }),
    );
    client.on(
      'epoch',
      mine(() => {
        trace.broken('10 sync is exact', `${this.name} was told of another epoch`);
      }),
    );
    client.on(
      'stopped',
      mine(({ reason }) => {
        trace.broken('21 liveness', `${this.name} was stopped for good: ${reason}`);
      }),
    );
    client.on(
      'error',
      mine((error) => {
        trace.note(`device  ${this.name} reports ${String(error)}`);
      }),
    );
  }

  private hear(frame: EventFrame): void {
    const { log, trace } = this.around;
    const { conversationId, seq } = frame.data;
    const chronicle = log.chronicle(asConversationId(conversationId));
    const label = `${chronicle.name}/${seq}`;
    trace.note(`device  ${this.name} has ${label} ${frame.event}`);
    const ran = this.run.get(conversationId);
    if (ran !== undefined && seq <= ran) {
      trace.broken('6 no double', `${this.name} was handed ${label} after ${ran}`);
      return;
    }
    this.run.set(conversationId, seq);
    if (frame.event === 'conversation.started') this.introduced.add(conversationId);
    const had = this.progress.get(conversationId) ?? -1;
    // A new run begins where its saved cursor stood, which may be a little before what the last one was handed.
    if (seq <= had) return;
    const from = Math.max(had, (this.skipTo.get(conversationId) ?? 0) - 1);
    const missed = chronicle.firstOwed(this.userId, from, seq);
    if (missed !== undefined)
      trace.broken('10 sync is exact', `${this.name} was handed ${label} and never ${missed}`);
    this.progress.set(conversationId, seq);
  }

  private settle(change: OutboxChange): void {
    if (change.kind === 'acknowledged') this.acknowledged(change.ack);
    if (change.kind !== 'refused') return;
    this.refused.add(change.clientMessageId);
    this.around.trace.note(`device  ${this.name} is refused: ${change.error.message}`);
  }

  private acknowledged(ack: Ack): void {
    const { log, trace } = this.around;
    const chronicle = log.chronicle(asConversationId(ack.conversationId));
    const label = `${chronicle.name}/${ack.seq}`;
    trace.note(`device  ${this.name} is acknowledged ${label}${ack.duplicate ? ' again' : ''}`);
    const sent = this.sent.get(ack.clientMessageId);
    if (sent === undefined) {
      trace.broken('1 nothing acknowledged is lost', `${this.name} never sent what ${label} acknowledges`);
      return;
    }
    sent.seq = ack.seq;
    sent.acknowledgedIn = ack.conversationId;
    const stored = chronicle.messageAt(ack.seq);
    if (stored?.clientMessageId !== ack.clientMessageId || stored.by !== this.userId)
      trace.broken(
        '1 nothing acknowledged is lost',
        `${label} was acknowledged to ${this.name}, and is another`,
      );
    else if (stored.content['body'] !== sent.body)
      trace.broken('5 once', `${label} was acknowledged to ${this.name} for other content`);
  }

  private nameOf(conversationId: string): string {
    return this.around.log.chronicle(asConversationId(conversationId)).name;
  }
}

import type { Answered, Push } from '../delivery/connection';
import type { ConversationId, Seq } from '../kernel/ids';
import type { GatewayLimits } from './gateway-limits';
import { sharedTextFrame, textFrame } from './text-frame';
import { flushAfterTurn, type Flushable } from './turn-flush';

/** The part of a TCP socket that is written to. */
export interface Wire {
  /** Bytes that Node holds for the kernel. */
  readonly writableLength: number;
  write(bytes: Buffer): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

export interface OutboundEvents {
  written(bytes: number): void;
  /** A slow socket has drained; it was told what it missed, if anything. */
  recovered(): void;
  /** The socket missed more conversations than `resync` may name. */
  overflowed(): void;
}

type Synced = (conversationId: ConversationId) => Seq | undefined;

const ROOM: Promise<void> = Promise.resolve();
const NONE: readonly ConversationId[] = [];

const resyncOf = (conversationIds: readonly ConversationId[]): Buffer =>
  textFrame(JSON.stringify({ event: 'resync', data: { conversationIds } }));

/**
 * What goes out on one socket, bounded: past the high-water mark pushes are only remembered as "conversation
 * moved", hints are dropped, and answers make their sender wait. An idle socket owns no collection here.
 * Times are milliseconds of a monotonic clock.
 */
export class OutboundQueue implements Flushable {
  private pending: Buffer[] | undefined;
  private pendingBytes = 0;
  private held: Push[] | undefined;
  private heldBytes = 0;
  /** Conversation → highest seq that was not pushed. */
  private moved: Map<ConversationId, Seq> | undefined;
  /** Conversation → highest seq that was withheld and that no sync has brought since. */
  private withheld: Map<ConversationId, Seq> | undefined;
  /** Conversations that a `resync` has named and that no sync has answered since. */
  private told: Set<ConversationId> | undefined;
  /** The conversations that the last sync was about, and those that have begun since; undefined: all there are. */
  private answered: ((conversationId: ConversationId) => boolean) | undefined;
  private begun: Set<ConversationId> | undefined;
  private lastPushed: Map<ConversationId, Seq> | undefined;
  private pushedSinceRest = false;
  private synced: Synced | undefined;
  private syncedAt = 0;
  private slowSince: number | undefined;
  private listensForDrain = false;
  private waiters: (() => void)[] | undefined;
  private ended = false;

  constructor(
    private readonly wire: Wire,
    private readonly limits: GatewayLimits,
    private readonly events: OutboundEvents,
    private readonly now: () => number,
  ) {}

  /** Bytes that wait, here and in Node; at most the high-water mark and one answer. */
  get bytes(): number {
    return this.pendingBytes + this.heldBytes + this.wire.writableLength;
  }

  get isSlow(): boolean {
    return this.slowSince !== undefined;
  }

  push(push: Push): void {
    if (this.ended || this.isKnown(push)) return;
    if (this.held === undefined) this.write(push);
    else if (this.mayHold(push)) {
      this.held.push(push);
      this.heldBytes += push.bytes.length;
    } else this.remember(push.conversationId, push.seq);
  }

  withhold(conversationId: ConversationId, seq: Seq): void {
    if (this.ended) return;
    const withheld = (this.withheld ??= new Map<ConversationId, Seq>());
    withheld.set(conversationId, seq);
    if (withheld.size <= this.limits.withheldConversationsMax) return;
    // Told now instead of when it is focused: what is forgotten must not be missing.
    const [oldest] = withheld.keys();
    if (oldest !== undefined) this.catchUp(oldest);
  }

  get owed(): Iterable<ConversationId> {
    return this.told ?? NONE;
  }

  /** @param before the push that follows; what was withheld after it is told before the next one */
  catchUp(conversationId: ConversationId, before = Infinity): void {
    const seq = this.withheld?.get(conversationId);
    if (seq === undefined) return;
    // Held back, or slow: the word goes out with that on everything else that was not pushed.
    if (this.held !== undefined || this.isFull()) {
      this.remember(conversationId, seq);
      return;
    }
    if (seq < before) this.withheld?.delete(conversationId);
    this.tell([conversationId]);
  }

  hint(bytes: Buffer): void {
    if (!this.ended && !this.isFull()) this.enqueue(sharedTextFrame(bytes));
  }

  /** Always queued. Resolves when there is room for more, or when the queue has ended. */
  answer(text: string): Promise<void> {
    if (this.ended) return ROOM;
    this.enqueue(textFrame(text));
    if (!this.isFull()) return ROOM;
    return new Promise((resolve) => (this.waiters ??= []).push(resolve));
  }

  hold(): void {
    this.held ??= [];
  }

  release(synced: Synced, answered: Answered): void {
    const held = this.held ?? [];
    this.held = undefined;
    this.heldBytes = 0;
    if (this.ended) return;
    // The feed may be behind what sync has read from the log: what it brings a little later is a repetition.
    this.synced = synced;
    this.syncedAt = this.now();
    if (answered !== 'nothing') {
      this.told = this.begun = undefined;
      this.answered = answered === 'all' ? undefined : answered;
    }
    for (const [conversationId, seq] of this.moved ?? []) {
      if (seq <= (synced(conversationId) ?? -1)) this.moved?.delete(conversationId);
    }
    for (const [conversationId, seq] of this.withheld ?? []) {
      if (seq <= (synced(conversationId) ?? -1)) this.withheld?.delete(conversationId);
    }
    for (const push of held) if (!this.isKnown(push)) this.write(push);
    if (!this.isSlow) this.tellMoved();
  }

  /** Writes what has gathered. */
  flush(): void {
    const pending = this.pending;
    if (pending === undefined || this.ended) return;
    this.pending = undefined;
    const bytes = this.pendingBytes;
    this.pendingBytes = 0;
    this.wire.write(this.inOnePiece(pending, bytes));
    this.events.written(bytes);
    if (this.slowSince !== undefined) this.awaitDrain();
  }

  /** @returns true when the socket has been slow for too long */
  isStuck(now: number): boolean {
    return this.slowSince !== undefined && now - this.slowSince >= this.limits.slowSocketMs;
  }

  /** Called now and then: lets go of what an idle socket does not need. */
  rest(now: number): void {
    if (!this.pushedSinceRest) this.lastPushed = undefined;
    this.pushedSinceRest = false;
    if (now - this.syncedAt >= this.limits.syncFloorMs) this.synced = undefined;
  }

  /** Nothing is queued any more; whoever waits for room goes on. */
  end(): void {
    this.ended = true;
    this.pending = this.held = this.moved = this.withheld = this.lastPushed = this.synced = undefined;
    this.told = this.begun = this.answered = undefined;
    this.pendingBytes = this.heldBytes = 0;
    this.slowSince = undefined;
    this.letWaitersGo();
  }

  private isKnown({ conversationId, seq }: Push): boolean {
    if (seq <= (this.lastPushed?.get(conversationId) ?? -1)) return true;
    return this.synced !== undefined && seq <= (this.synced(conversationId) ?? -1);
  }

  private mayHold({ conversationId, bytes }: Push): boolean {
    if (this.held === undefined || this.held.length >= this.limits.pushesHeldMax) return false;
    // After one that was not held, a later one would only make the hole harder to see.
    if (this.moved?.has(conversationId) === true) return false;
    return this.heldBytes + bytes.length <= this.limits.outboundHighWaterBytes;
  }

  private write(push: Push): void {
    if (this.isFull()) {
      this.remember(push.conversationId, push.seq);
      return;
    }
    if (this.isStrange(push)) {
      if (this.told?.has(push.conversationId) !== true) this.tell([push.conversationId]);
      return;
    }
    // The hole before this push is a loss to the device, unless it is told.
    this.catchUp(push.conversationId, push.seq);
    this.enqueue(sharedTextFrame(push.bytes));
    this.notePushed(push);
  }

  /** The last sync could not know of it, so that the device has nothing of what may lie before. */
  private isStrange({ conversationId, seq }: Push): boolean {
    if (this.answered === undefined || this.answered(conversationId)) return false;
    if (this.begun?.has(conversationId) === true) return false;
    if (seq > 0 || (this.begun?.size ?? 0) >= this.limits.resyncConversationsMax) return true;
    (this.begun ??= new Set()).add(conversationId);
    return false;
  }

  private notePushed({ conversationId, seq }: Push): void {
    this.pushedSinceRest = true;
    const last = (this.lastPushed ??= new Map());
    if (last.size >= this.limits.lastPushedMax && !last.has(conversationId)) {
      const [oldest] = last.keys();
      if (oldest !== undefined) last.delete(oldest);
    }
    last.set(conversationId, seq);
  }

  private remember(conversationId: ConversationId, seq: Seq): void {
    const moved = (this.moved ??= new Map());
    moved.set(conversationId, seq);
    if (moved.size > this.limits.resyncConversationsMax) this.events.overflowed();
  }

  private enqueue(frame: Buffer): void {
    if (this.pending === undefined) {
      this.pending = [frame];
      flushAfterTurn(this);
    } else this.pending.push(frame);
    this.pendingBytes += frame.length;
    // Only the kernel can say whether the peer is slow: ask it before a burst looks like a slow socket.
    if (this.pendingBytes >= this.limits.flushBytes) this.flush();
  }

  private isFull(): boolean {
    if (this.slowSince !== undefined) return true;
    if (this.pendingBytes + this.wire.writableLength < this.limits.outboundHighWaterBytes) return false;
    this.flush();
    if (this.wire.writableLength < this.limits.outboundHighWaterBytes) return false;
    this.slowSince = this.now();
    this.awaitDrain();
    return true;
  }

  private inOnePiece(frames: readonly Buffer[], bytes: number): Buffer {
    const only = frames.length === 1 ? frames[0] : undefined;
    if (this.wire.writableLength === 0) return only ?? Buffer.concat(frames, bytes);
    // It will wait for a while: a small slice of Node's shared pool would keep all of the pool's 8 KiB alive.
    const copy = Buffer.allocUnsafeSlow(bytes);
    let offset = 0;
    for (const frame of frames) offset += frame.copy(copy, offset);
    return copy;
  }

  private awaitDrain(): void {
    if (this.wire.writableLength === 0) {
      this.drained();
    } else if (!this.listensForDrain) {
      this.listensForDrain = true;
      this.wire.once('drain', () => {
        this.listensForDrain = false;
        if (this.slowSince !== undefined) this.awaitDrain();
      });
    }
  }

  private drained(): void {
    this.slowSince = undefined;
    if (this.held === undefined) this.tellMoved();
    this.events.recovered();
    this.letWaitersGo();
  }

  private tellMoved(): void {
    const moved = this.moved;
    this.moved = undefined;
    if (moved === undefined || moved.size === 0) return;
    for (const conversationId of moved.keys()) this.withheld?.delete(conversationId);
    this.tell([...moved.keys()]);
  }

  private tell(conversationIds: readonly ConversationId[]): void {
    const told = (this.told ??= new Set());
    for (const conversationId of conversationIds) told.add(conversationId);
    // A device that is told so much and asks for nothing would make this grow for ever.
    if (told.size > this.limits.resyncConversationsMax) this.events.overflowed();
    else this.enqueue(resyncOf(conversationIds));
  }

  private letWaitersGo(): void {
    const waiters = this.waiters;
    this.waiters = undefined;
    for (const resolve of waiters ?? []) resolve();
  }
}

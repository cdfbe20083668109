import type { Socket } from 'node:net';
import { PRESENCE_IDLE_MS } from '../application/ports/presence';
import type { Answered, Connection, Push } from '../delivery/connection';
import type { ConversationId, DeviceId, Millis, Seq, UserId } from '../kernel/ids';
import { uuidv7 } from '../kernel/uuid';
import { CLOSE_CODES, type CloseReason } from '../protocol/close-codes';
import type { ServerFrame } from '../protocol/frames';
import type { GatewayLimits } from './gateway-limits';
import type { GatewaySocket } from './gateway-socket';
import { Lane, type Inbound, type LaneOwner } from './lane';
import { OutboundQueue, type OutboundEvents } from './outbound-queue';

/** Who a socket has authenticated as. Replaced as a whole by `reauth`. */
export interface Caller {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly signInId: string;
  readonly expiresAt: Millis;
}

/** What a device last said it was typing; lets repetitions pass without a word to the others. */
export interface TypingState {
  readonly conversationId: ConversationId;
  readonly isTyping: boolean;
  readonly at: number;
}

/** What all sessions of a node share. */
export interface SessionHost {
  readonly limits: GatewayLimits;
  readonly heartbeatMs: number;
  readonly authTimeoutMs: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
  handle(session: Session, message: Inbound): Promise<void>;
  /** The session has sent a ping, or its device is in use again: its presence is still good. */
  alive(session: Session): void;
  /** The session takes part in nothing from now on; called once, before its socket is closed. */
  leaving(session: Session): void;
  silent(session: Session): void;
  pinged(session: Session): void;
  /** The socket is closed; `code` as `ws` reports it. */
  closed(session: Session, code: number): void;
  slow(outcome: 'recovered' | 'closed'): void;
  written(bytes: number): void;
}

/**
 * One socket: what came in and waits, what goes out and waits, who it is, and how long it has been silent. All
 * times are milliseconds of the host's monotonic clock but for the token's expiry, which is a date.
 */
export class Session implements Connection, LaneOwner, OutboundEvents {
  readonly sessionId = uuidv7();
  caller: Caller | undefined;
  focused: ConversationId | undefined;
  typing: TypingState | undefined;
  /** Whether the device has asked for what it missed: a second time says nothing of a reconnect. */
  hasSynced = false;
  /** Frames refused for their rate, one shortly after another. */
  private breaches = 0;
  /** When somebody last used the device. */
  private usedAt: number;
  private lastBreachAt = 0;
  readonly openedAt: number;
  private pingedAt: number;
  private heardAt: number;
  private bytesHeard = 0;
  private hasLeft = false;
  private readonly outbound: OutboundQueue;
  private readonly lane: Lane;

  constructor(
    private readonly socket: GatewaySocket,
    private readonly wire: Socket,
    private readonly host: SessionHost,
  ) {
    this.openedAt = this.pingedAt = this.heardAt = this.usedAt = host.now();
    this.outbound = new OutboundQueue(wire, host.limits, this, host.now);
    this.lane = new Lane(this, host.limits);
  }

  get userId(): UserId {
    return this.authenticated().userId;
  }

  get deviceId(): DeviceId {
    return this.authenticated().deviceId;
  }

  /** False from the moment anybody began to close it. */
  get isOpen(): boolean {
    return !this.hasLeft;
  }

  get outboundBytes(): number {
    return this.outbound.bytes;
  }

  /** Nobody has used the device for some minutes: what it sends by itself does not count. */
  get isIdle(): boolean {
    return this.host.now() - this.usedAt >= PRESENCE_IDLE_MS;
  }

  /** Somebody has used the device. */
  used(): void {
    const wasIdle = this.isIdle;
    this.usedAt = this.host.now();
    if (wasIdle) this.host.alive(this);
  }

  push(push: Push): void {
    this.outbound.push(push);
  }

  withhold(conversationId: ConversationId, seq: Seq): void {
    this.outbound.withhold(conversationId, seq);
  }

  catchUp(conversationId: ConversationId): void {
    this.outbound.catchUp(conversationId);
  }

  hint(bytes: Buffer): void {
    this.outbound.hint(bytes);
  }

  answer(frame: ServerFrame): Promise<void> {
    return this.outbound.answer(JSON.stringify(frame));
  }

  hold(): void {
    this.outbound.hold();
  }

  release(synced: (conversationId: ConversationId) => Seq | undefined, answered: Answered): void {
    this.outbound.release(synced, answered);
  }

  get owed(): Iterable<ConversationId> {
    return this.outbound.owed;
  }

  /** What is queued goes first. A peer that does not answer the close frame is cut off by `ws`. */
  close(reason: CloseReason): void {
    if (this.hasLeft) return;
    this.outbound.flush();
    this.leave();
    if (reason === 'tooSlow') this.host.slow('closed');
    // An unread close frame of the peer would leave the socket half closed.
    this.socket.resume();
    const { code, reason: text } = CLOSE_CODES[reason];
    this.socket.close(code, text);
  }

  /** Cuts the connection without a word. */
  terminate(): void {
    this.leave();
    this.socket.terminate();
  }

  received(message: Inbound): void {
    this.lane.accept(message);
  }

  /** Runs `work` before any message of the socket. It must not reject. */
  begin(work: () => Promise<void>): void {
    this.lane.begin(work);
  }

  /** Counts a frame refused for its rate. @returns true when it was one too many */
  breach(now: number): boolean {
    const { rateBreachesMax, rateBreachesForgottenMs } = this.host.limits;
    if (now - this.lastBreachAt >= rateBreachesForgottenMs) this.breaches = 0;
    this.lastBreachAt = now;
    this.breaches += 1;
    return this.breaches > rateBreachesMax;
  }

  /** The socket is closed, whoever began it. */
  closed(code: number): void {
    this.leave();
    this.host.closed(this, code);
  }

  pinged(): void {
    this.host.pinged(this);
  }

  /**
   * Time has passed. `isLate`: the process itself was held up, so that silence says nothing about the peer.
   */
  tick(now: number, date: Millis, isLate: boolean): void {
    if (this.hasLeft) return;
    if (this.caller === undefined) {
      if (now - this.openedAt >= this.host.authTimeoutMs) this.close('authTimeout');
    } else if (date >= this.caller.expiresAt) this.close('tokenInvalid');
    else if (this.outbound.isStuck(now)) this.close('tooSlow');
    else this.heartbeat(now, isLate);
  }

  handle(message: Inbound): Promise<void> {
    return this.host.handle(this, message);
  }

  pauseReading(): void {
    this.socket.pause();
  }

  resumeReading(): void {
    this.socket.resume();
  }

  written(bytes: number): void {
    this.host.written(bytes);
  }

  recovered(): void {
    this.host.slow('recovered');
  }

  overflowed(): void {
    this.close('tooSlow');
  }

  private heartbeat(now: number, isLate: boolean): void {
    const bytes = this.wire.bytesRead;
    // Bytes, not frames: half a large frame is a sign of life, too. While we do not read, there can be none.
    if (bytes !== this.bytesHeard || isLate || this.lane.paused) {
      this.bytesHeard = bytes;
      this.heardAt = now;
    }
    const { heartbeatGraceMs, slowSocketMs } = this.host.limits;
    // Behind a full buffer the ping itself may still be on its way.
    const graceMs =
      this.wire.writableLength > 0 ? Math.max(heartbeatGraceMs, slowSocketMs) : heartbeatGraceMs;
    if (this.pingedAt >= this.heardAt && now - this.pingedAt >= graceMs) {
      this.host.silent(this);
      this.terminate();
    } else if (now - this.pingedAt >= this.host.heartbeatMs) {
      this.pingedAt = now;
      this.outbound.rest(now);
      this.socket.ping();
      this.host.alive(this);
    }
  }

  private leave(): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    this.lane.close();
    this.outbound.end();
    this.host.leaving(this);
  }

  private authenticated(): Caller {
    if (this.caller === undefined) throw new Error('the socket has not authenticated');
    return this.caller;
  }
}

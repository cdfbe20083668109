import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { EphemeralBus, PresenceStore, type EphemeralFrame } from '../application/ports/presence';
import { SocketDirectory } from '../application/ports/socket-directory';
import { CONFIG, type Config } from '../config/config';
import { Hub } from '../delivery/hub';
import { ReceiptAggregator } from '../delivery/receipts';
import { Clock } from '../kernel/clock';
import { PresenceWatch } from '../presence/presence-watch';
import { FrameRates } from './frame-rates';
import { FrameRouter } from './frame-router';
import { GatewayCounters } from './gateway-counters';
import { GATEWAY_LIMITS, type GatewayLimits } from './gateway-limits';
import type { Inbound } from './lane';
import { monotonicNow } from './monotonic';
import type { Session, SessionHost } from './session';

/** A tick that comes this many ticks late says that the process was held up, not that peers were silent. */
const LATE_TICKS = 3;
/** How often a drain looks whether all sockets have closed. */
const DRAIN_POLL_MS = 20;

/**
 * All sockets of this node: looked after by one timer, however many there are, and sent away in an orderly
 * manner when the node leaves.
 */
@Injectable()
export class Sockets implements SessionHost, OnModuleDestroy {
  readonly now = monotonicNow;
  readonly heartbeatMs: number;
  readonly authTimeoutMs: number;
  private readonly logger = new Logger(Sockets.name);
  private readonly sessions = new Set<Session>();
  private readonly timer: NodeJS.Timeout;
  private readonly endBus: () => void;
  private readonly endDisplaced: () => void;
  private lastTick = monotonicNow();
  private drained: Promise<void> | undefined;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(GATEWAY_LIMITS) readonly limits: GatewayLimits,
    readonly counters: GatewayCounters,
    private readonly router: FrameRouter,
    private readonly rates: FrameRates,
    private readonly hub: Hub,
    private readonly receipts: ReceiptAggregator,
    private readonly presence: PresenceStore,
    private readonly watch: PresenceWatch,
    private readonly clock: Clock,
    private readonly directory: SocketDirectory,
    bus: EphemeralBus,
  ) {
    this.heartbeatMs = config.heartbeatMs;
    this.authTimeoutMs = config.authTimeoutMs;
    this.timer = setInterval(() => {
      this.tick();
    }, limits.tickMs);
    this.endBus = bus.subscribe((frame) => {
      this.pass(frame);
    });
    this.endDisplaced = directory.onDisplaced(({ userId, sessionId }) => {
      const older = this.hub.connectionsOf(userId).find((one) => one.sessionId === sessionId);
      older?.close('signedOut');
    });
  }

  /** Open sockets, authenticated or not. */
  get size(): number {
    return this.sessions.size;
  }

  /** Authenticated ones among them. */
  get authenticated(): number {
    return this.hub.size;
  }

  /** Bytes that wait for slow readers, over all sockets. */
  get outboundBytesWaiting(): number {
    let bytes = 0;
    for (const session of this.sessions) bytes += session.outboundBytes;
    return bytes;
  }

  /** True from the beginning of a drain: new sockets are refused with 503. */
  get isDraining(): boolean {
    return this.drained !== undefined;
  }

  add(session: Session): void {
    this.sessions.add(session);
    this.counters.opened += 1;
  }

  closed(session: Session, code: number): void {
    this.sessions.delete(session);
    this.counters.closed(code);
  }

  /** A peer that pings often keeps us as busy as one that sends frames; each ping is answered all the same. */
  pinged(session: Session): void {
    const now = this.now();
    if (this.rates.take(session, 'ping', now) > 0 && session.breach(now)) session.close('rateLimited');
  }

  /**
   * Sends everybody away, one after another: `reconnect`, then close 1012. Those whose turn has not come are served
   * as ever: a device that had to stay away for its share of the spread would miss what is sent to it meanwhile.
   * Whoever is still there after `drainMs` is cut off. Called once; later calls wait for the same end.
   */
  drain(): Promise<void> {
    this.drained ??= this.sendAway();
    return this.drained;
  }

  async onModuleDestroy(): Promise<void> {
    await this.drain();
    clearInterval(this.timer);
    this.endBus();
    this.endDisplaced();
  }

  handle(session: Session, message: Inbound): Promise<void> {
    return this.router.handle(session, message);
  }

  alive(session: Session): void {
    if (session.caller === undefined) return;
    const { userId, deviceId } = session.caller;
    const key = { userId, deviceId, sessionId: session.sessionId };
    this.ignoring(this.presence.beat(key, session.isIdle ? 'idle' : 'active'));
    void this.directory.refresh(key).then((entry) => {
      if (entry === 'displaced') session.close('signedOut');
    });
  }

  leaving(session: Session): void {
    if (session.caller === undefined) return;
    this.hub.unregister(session);
    this.watch.forget(session);
    const { userId, deviceId } = session.caller;
    const key = { userId, deviceId, sessionId: session.sessionId };
    this.ignoring(this.presence.leave(key));
    void this.directory.unregister(key);
  }

  silent(_session: Session): void {
    this.counters.silent += 1;
  }

  slow(outcome: 'recovered' | 'closed'): void {
    if (outcome === 'recovered') this.counters.slowRecovered += 1;
    else this.counters.slowClosed += 1;
  }

  written(bytes: number): void {
    this.counters.outboundBytes += bytes;
  }

  private tick(): void {
    const now = this.now();
    const isLate = now - this.lastTick > LATE_TICKS * this.limits.tickMs;
    this.lastTick = now;
    const date = this.clock.now();
    for (const session of this.sessions) session.tick(now, date, isLate);
  }

  private pass({ userIds, exceptSessionId, onlyDeviceId, bytes }: EphemeralFrame): void {
    for (const userId of userIds) {
      for (const connection of this.hub.connectionsOf(userId)) {
        if (connection.sessionId === exceptSessionId) continue;
        if (onlyDeviceId !== undefined && connection.deviceId !== onlyDeviceId) continue;
        connection.hint(bytes);
      }
    }
  }

  private async sendAway(): Promise<void> {
    const deadline = this.now() + this.limits.drainMs;
    await this.closeInTurn();
    // From here on no socket brings receipts: what was accepted is what there is to write.
    const flushed = this.receipts.flush().catch((error: unknown) => {
      this.logger.warn({ err: error }, 'receipts were left to their devices');
    });
    while (this.sessions.size > 0 && this.now() < deadline) await sleep(DRAIN_POLL_MS);
    if (this.sessions.size > 0) this.logger.warn(`${this.sessions.size} sockets had to be cut off`);
    for (const session of this.sessions) session.terminate();
    const waiting = new AbortController();
    const { signal } = waiting;
    const tooLate = sleep(Math.max(0, deadline - this.now()), undefined, { signal }).catch(() => undefined);
    await Promise.race([flushed, tooLate]);
    waiting.abort();
  }

  /** In the order in which they came, which is no order of users or rooms. */
  private async closeInTurn(): Promise<void> {
    const { drainSpreadMs, drainStepMs, reconnectJitterMs } = this.limits;
    const leaving = [...this.sessions];
    const stepMs = Math.min(drainStepMs, drainSpreadMs / Math.max(1, leaving.length));
    const beganAt = this.now();
    for (const [n, session] of leaving.entries()) {
      const waitMs = beganAt + n * stepMs - this.now();
      if (waitMs >= 1) await sleep(waitMs);
      const afterMs = Math.floor(Math.random() * (reconnectJitterMs + 1));
      void session.answer({ event: 'reconnect', data: { afterMs } });
      session.close('draining');
    }
  }

  /** Presence is a hint (DESIGN.md section 1): a store that is down costs nobody anything. */
  private ignoring(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.logger.debug({ err: error }, 'presence is not available');
    });
  }
}

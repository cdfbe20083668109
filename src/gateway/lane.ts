import { setImmediate as afterOthers } from 'node:timers/promises';
import type { GatewayLimits } from './gateway-limits';

/** A message that was binary: kept in its place, so that what came before it is answered before the close. */
export const BINARY = Symbol('binary message');
export type Inbound = Buffer | typeof BINARY;

export interface LaneOwner {
  /** Handles one message to its end. Never rejects. */
  handle(message: Inbound): Promise<void>;
  /** No more is read from the socket until {@link resumeReading}. */
  pauseReading(): void;
  resumeReading(): void;
}

const bytesOf = (message: Inbound): number => (message === BINARY ? 0 : message.length);

/**
 * The messages of one socket, handled one after another (PROTOCOL.md section 3). When too much waits, the socket
 * is not read any more: its client is slowed down by TCP, nothing is dropped, and no other socket notices.
 */
export class Lane {
  private waiting: Inbound[] | undefined;
  private waitingBytes = 0;
  private isBusy = false;
  private isPaused = false;
  private isClosed = false;

  constructor(
    private readonly owner: LaneOwner,
    private readonly limits: GatewayLimits,
  ) {}

  accept(message: Inbound): void {
    if (this.isClosed) return;
    if (!this.isBusy) {
      this.isBusy = true;
      void this.run(message);
      return;
    }
    (this.waiting ??= []).push(message);
    this.waitingBytes += bytesOf(message);
    if (!this.isPaused && this.isOverfull()) {
      this.isPaused = true;
      this.owner.pauseReading();
    }
  }

  /** Runs `work` before any message, as the authentication that came with the upgrade. It must not reject. */
  begin(work: () => Promise<void>): void {
    this.isBusy = true;
    void work().then(() => this.run(undefined));
  }

  get paused(): boolean {
    return this.isPaused;
  }

  /** What waits is forgotten; the message in hand is handled to its end. */
  close(): void {
    this.isClosed = true;
    this.waiting = undefined;
    this.waitingBytes = 0;
  }

  private async run(first: Inbound | undefined): Promise<void> {
    let message = first ?? this.next();
    for (let handled = 1; message !== undefined && !this.isClosed; handled++) {
      await this.owner.handle(message);
      if (handled % this.limits.laneTurnFramesMax === 0) await afterOthers();
      message = this.next();
    }
    this.isBusy = false;
  }

  private next(): Inbound | undefined {
    const message = this.waiting?.shift();
    if (message === undefined) {
      this.waiting = undefined;
      return undefined;
    }
    this.waitingBytes -= bytesOf(message);
    if (this.isPaused && !this.isOverfull()) {
      this.isPaused = false;
      this.owner.resumeReading();
    }
    return message;
  }

  private isOverfull(): boolean {
    return (
      (this.waiting?.length ?? 0) >= this.limits.framesWaitingMax ||
      this.waitingBytes >= this.limits.inboundBytesMax
    );
  }
}

import { Inject, Injectable } from '@nestjs/common';
import { messageRate, RateLimits, type RateLimit } from '../application/ports/rate-limits';
import { CONFIG, type Config } from '../config/config';
import type { UserId } from '../kernel/ids';
import { TokenBuckets } from '../kernel/token-bucket';
import { FRAMES_BURST_SECONDS, RATE_KEYS_MAX } from './gateway-limits';

/** Who sends: messages are counted by user over all sockets of all nodes, other frames by socket. */
export interface RatedSocket {
  readonly sessionId: string;
  readonly caller: { readonly userId: UserId } | undefined;
}

/** The rates of PROTOCOL.md section 3. Times are milliseconds of a monotonic clock. */
@Injectable()
export class FrameRates {
  private readonly messages: RateLimit;
  private readonly others: TokenBuckets;
  private readonly isOn: boolean;

  constructor(@Inject(CONFIG) { rateLimits, limits }: Config, rates: RateLimits) {
    this.isOn = rateLimits;
    this.messages = rates.open(messageRate(limits));
    const burst = limits.framesPerSecond * FRAMES_BURST_SECONDS;
    this.others = new TokenBuckets(limits.framesPerSecond, burst, RATE_KEYS_MAX);
  }

  /** The user connects here, perhaps after sending elsewhere. */
  learn(userId: UserId): void {
    if (this.isOn) this.messages.learn(userId);
  }

  /** @returns 0 when the frame may pass, else the milliseconds after which one may */
  take(socket: RatedSocket, event: string, now: number): number {
    if (!this.isOn) return 0;
    return event === 'message.send' && socket.caller !== undefined
      ? this.messages.take(socket.caller.userId)
      : this.others.take(socket.sessionId, now);
  }
}

import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config';
import { Clock } from '../kernel/clock';
import type { UserId } from '../kernel/ids';
import { TokenBuckets } from '../kernel/token-bucket';
import { ProblemException } from './problem-exception';

/** Users whose rate is remembered: more than can send in the seconds that a bucket takes to fill. */
export const MESSAGE_RATE_USERS_MAX = 100_000;

/** Messages per user over REST (PROTOCOL.md section 3, limits). */
@Injectable()
export class MessageRate {
  private readonly buckets: TokenBuckets;

  constructor(
    private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    const { messagesPerSecond, messagesBurst } = config.limits;
    this.buckets = new TokenBuckets(messagesPerSecond, messagesBurst, MESSAGE_RATE_USERS_MAX);
  }

  /** Counts one message. @throws ProblemException `rate_limited`, with the time to wait */
  spend(userId: UserId): void {
    if (!this.config.rateLimits) return;
    const retryAfterMs = this.buckets.take(userId, this.clock.now());
    if (retryAfterMs > 0) {
      throw new ProblemException('rate_limited', 'Too many messages at once.', { retryAfterMs });
    }
  }
}

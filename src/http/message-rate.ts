import { Inject, Injectable } from '@nestjs/common';
import { messageRate, RateLimits } from '../application/ports/rate-limits';
import { CONFIG, type Config } from '../config/config';
import type { UserId } from '../kernel/ids';
import { ProblemException } from './problem-exception';

/** Messages per user over REST; they count together with those that come by sockets. */
@Injectable()
export class MessageRate {
  constructor(
    private readonly rates: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Counts one message. @throws ProblemException `rate_limited`, with the time to wait */
  spend(userId: UserId): void {
    if (!this.config.rateLimits) return;
    const retryAfterMs = this.rates.open(messageRate(this.config.limits)).take(userId);
    if (retryAfterMs > 0) {
      throw new ProblemException('rate_limited', 'Too many messages at once.', { retryAfterMs });
    }
  }
}

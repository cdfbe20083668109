import { Inject, Injectable } from '@nestjs/common';
import { RateLimits, type RateLimit } from '../application/ports/rate-limits';
import { CONFIG, type Config } from '../config/config';

/** Wrong passwords that one address may try on one account at once, and how fast it may go on. */
export const LOGIN_ATTEMPTS_BURST = 10;
const LOGIN_ATTEMPTS_PER_SECOND = 1 / 6;
/** Pairs of account and address remembered. */
export const LOGIN_ATTEMPTS_KEYS_MAX = 50_000;

/**
 * Slows down the guessing of passwords. Counted per account and address together, so that a stranger who
 * guesses elsewhere cannot lock the owner out.
 */
@Injectable()
export class LoginAttempts {
  private readonly attempts: RateLimit;

  constructor(
    rates: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.attempts = rates.open({
      name: 'login',
      perSecond: LOGIN_ATTEMPTS_PER_SECOND,
      burst: LOGIN_ATTEMPTS_BURST,
      keysMax: LOGIN_ATTEMPTS_KEYS_MAX,
    });
  }

  /** Counts an attempt. @returns 0 when it may be made, else the milliseconds to wait */
  attempt(usernameKey: string, address: string): number {
    if (!this.config.rateLimits) return 0;
    return this.attempts.take(keyOf(usernameKey, address));
  }

  /** The password was right: the attempts before it were the owner's. */
  succeeded(usernameKey: string, address: string): void {
    this.attempts.forgive(keyOf(usernameKey, address));
  }
}

const keyOf = (usernameKey: string, address: string): string => `${address} ${usernameKey}`;

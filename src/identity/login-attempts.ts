import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/config';
import { Clock } from '../kernel/clock';
import { TokenBuckets } from '../kernel/token-bucket';

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
  private readonly buckets = new TokenBuckets(
    LOGIN_ATTEMPTS_PER_SECOND,
    LOGIN_ATTEMPTS_BURST,
    LOGIN_ATTEMPTS_KEYS_MAX,
  );

  constructor(
    private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Counts an attempt. @returns 0 when it may be made, else the milliseconds to wait */
  attempt(usernameKey: string, address: string): number {
    if (!this.config.rateLimits) return 0;
    return this.buckets.take(keyOf(usernameKey, address), this.clock.now());
  }

  /** The password was right: the attempts before it were the owner's. */
  succeeded(usernameKey: string, address: string): void {
    this.buckets.forgive(keyOf(usernameKey, address));
  }
}

const keyOf = (usernameKey: string, address: string): string => `${address} ${usernameKey}`;

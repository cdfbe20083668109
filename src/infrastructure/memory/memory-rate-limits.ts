import { RateLimits, type RateLimit, type RateRule } from '../../application/ports/rate-limits';
import { TokenBuckets } from '../../kernel/token-bucket';

/** Counts what this process grants, and nothing else. */
export class MemoryRateLimits extends RateLimits {
  private readonly limits = new Map<string, MemoryRateLimit>();

  /** @param now milliseconds of a clock that nobody sets */
  constructor(private readonly now: () => number = () => performance.now()) {
    super();
  }

  override open(rule: RateRule): MemoryRateLimit {
    const known = this.limits.get(rule.name);
    if (known !== undefined) return known;
    const limit = new MemoryRateLimit(rule, this.now);
    this.limits.set(rule.name, limit);
    return limit;
  }
}

export class MemoryRateLimit implements RateLimit {
  private readonly buckets: TokenBuckets;

  constructor(
    { perSecond, burst, keysMax }: RateRule,
    private readonly now: () => number,
  ) {
    this.buckets = new TokenBuckets(perSecond, burst, keysMax);
  }

  take(key: string): number {
    return this.buckets.take(key, this.now());
  }

  learn(): void {
    return;
  }

  forgive(key: string): void {
    this.buckets.forgive(key);
  }

  /** What others have granted the key takes `debtMs` to flow back. */
  owe(key: string, debtMs: number): void {
    this.buckets.owe(key, this.now(), debtMs);
  }
}

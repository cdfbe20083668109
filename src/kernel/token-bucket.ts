/** Below what a millisecond clock can tell; absorbs the rounding of `1000 / ratePerSecond`. */
const TOLERANCE_MS = 1e-3;

/**
 * Rate limits by key: each key may spend `burst` at once and `ratePerSecond` for ever. Time is passed in, in
 * milliseconds. At most `keysMax` keys are remembered, least recently used out first; a forgotten key starts
 * full again, so `keysMax` should exceed the number of keys that spend within `burst / ratePerSecond` seconds.
 */
export class TokenBuckets {
  private readonly costMs: number;
  private readonly debtMaxMs: number;
  /** Key → the time at which its bucket is full again (the generic cell rate algorithm of ATM). */
  private readonly fullAt = new Map<string, number>();

  constructor(
    ratePerSecond: number,
    burst: number,
    private readonly keysMax: number,
  ) {
    this.costMs = 1_000 / ratePerSecond;
    this.debtMaxMs = burst * this.costMs;
  }

  get size(): number {
    return this.fullAt.size;
  }

  /** Spends one token. @returns 0 when granted, else the milliseconds (whole, at least 1) until one is there */
  take(key: string, now: number): number {
    const debt = this.debtOf(key, now);
    const over = debt + this.costMs - this.debtMaxMs;
    const granted = over <= TOLERANCE_MS;
    this.remember(key, now + debt + (granted ? this.costMs : 0));
    return granted ? 0 : Math.max(1, Math.ceil(over - TOLERANCE_MS));
  }

  /** Somebody else has let the key spend: its bucket lacks at least what takes `debtMs` to flow back. */
  owe(key: string, now: number, debtMs: number): void {
    if (debtMs > this.debtOf(key, now)) this.remember(key, now + Math.min(debtMs, this.debtMaxMs));
  }

  /** Fills the key's bucket again, as after a login that succeeded. */
  forgive(key: string): void {
    this.fullAt.delete(key);
  }

  private debtOf(key: string, now: number): number {
    // Never more than an empty bucket: a clock that was set back must not lock anybody out.
    return Math.min(Math.max((this.fullAt.get(key) ?? now) - now, 0), this.debtMaxMs);
  }

  private remember(key: string, fullAt: number): void {
    // Deleted first even when known: a Map keeps the order of insertion, and the oldest entry goes first.
    if (!this.fullAt.delete(key) && this.fullAt.size >= this.keysMax) {
      const oldest = this.fullAt.keys().next();
      if (oldest.done !== true) this.fullAt.delete(oldest.value);
    }
    this.fullAt.set(key, fullAt);
  }
}

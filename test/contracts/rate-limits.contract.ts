import type { RateLimit, RateLimits, RateRule } from '../../src/application/ports/rate-limits';

export interface OpenedRates {
  readonly rates: RateLimits;
  /** Lets time pass, without waiting for it. */
  advance(ms: number): void;
  /** Resolves when what was granted has been told to whom it is to be told. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

let rules = 0;

/** Of a name that no other test uses. */
export const freshRule = (perSecond: number, burst: number): RateRule => ({
  name: `test-${process.pid}-${Date.now()}-${++rules}`,
  perSecond,
  burst,
  keysMax: 100,
});

/** What a key may spend now. */
export function granted(limit: RateLimit, key: string, attempts: number): number {
  let count = 0;
  for (let n = 0; n < attempts; n++) if (limit.take(key) === 0) count++;
  return count;
}

/** What every adapter of RateLimits does. */
export function rateLimitsContract(name: string, open: () => Promise<OpenedRates>): void {
  describe(`rate limits: ${name}`, () => {
    let opened: OpenedRates;
    beforeEach(async () => {
      opened = await open();
    });
    afterEach(async () => {
      await opened.close();
    });

    it('grants the burst at once, refuses one more, and says when there is one', async () => {
      const limit = opened.rates.open(freshRule(1, 5));
      expect(granted(limit, 'ann', 5)).toBe(5);
      await opened.settled();
      const waitMs = limit.take('ann');
      expect(waitMs).toBeGreaterThan(0);
      expect(waitMs).toBeLessThanOrEqual(1_000);
      opened.advance(waitMs);
      expect(limit.take('ann')).toBe(0);
    });

    it('counts each key for itself', async () => {
      const limit = opened.rates.open(freshRule(1, 2));
      expect(granted(limit, 'ann', 9)).toBe(2);
      await opened.settled();
      expect(granted(limit, 'bob', 9)).toBe(2);
    });

    it('fills up again, but never above the burst', async () => {
      const limit = opened.rates.open(freshRule(1, 4));
      expect(granted(limit, 'ann', 9)).toBe(4);
      await opened.settled();
      opened.advance(2_000);
      expect(granted(limit, 'ann', 9)).toBe(2);
      await opened.settled();
      opened.advance(3_600_000);
      expect(granted(limit, 'ann', 9)).toBe(4);
    });

    it('counts rules of one name together', async () => {
      const rule = freshRule(1, 3);
      expect(granted(opened.rates.open(rule), 'ann', 2)).toBe(2);
      await opened.settled();
      expect(granted(opened.rates.open(rule), 'ann', 9)).toBe(1);
    });

    it('forgives', async () => {
      const limit = opened.rates.open(freshRule(1, 3));
      expect(granted(limit, 'ann', 9)).toBe(3);
      await opened.settled();
      limit.forgive('ann');
      await opened.settled();
      expect(granted(limit, 'ann', 9)).toBe(3);
    });
  });
}

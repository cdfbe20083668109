import { TokenBuckets } from './token-bucket';

const take = (buckets: TokenBuckets, times: number, now: number): number[] =>
  Array.from({ length: times }, () => buckets.take('ann', now));

describe('TokenBuckets', () => {
  it('grants exactly the burst at once, then says how long to wait', () => {
    const buckets = new TokenBuckets(10, 60, 100);
    expect(take(buckets, 60, 0)).toEqual(Array.from({ length: 60 }, () => 0));
    expect(buckets.take('ann', 0)).toBe(100);
    expect(buckets.take('ann', 99)).toBe(1);
    expect(buckets.take('ann', 100)).toBe(0);
    expect(buckets.take('ann', 100)).toBe(100);
  });

  it('never grants more than burst + rate × time over any stretch', () => {
    const buckets = new TokenBuckets(10, 5, 100);
    let granted = 0;
    for (let now = 0; now <= 10_000; now += 7) if (buckets.take('ann', now) === 0) granted++;
    expect(granted).toBeLessThanOrEqual(5 + 100);
    expect(granted).toBeGreaterThanOrEqual(104);
  });

  it('saves up no more than the burst', () => {
    const buckets = new TokenBuckets(10, 3, 100);
    buckets.take('ann', 0);
    expect(take(buckets, 4, 3_600_000).filter((wait) => wait === 0)).toHaveLength(3);
  });

  it('counts keys apart, and a refused one hurts only itself', () => {
    const buckets = new TokenBuckets(1, 1, 100);
    buckets.take('ann', 0);
    expect(buckets.take('ann', 0)).toBeGreaterThan(0);
    expect(buckets.take('bob', 0)).toBe(0);
  });

  it('locks nobody out for longer than one token when the clock is set back', () => {
    const buckets = new TokenBuckets(10, 2, 100);
    buckets.take('ann', 3_600_000);
    expect(buckets.take('ann', 0)).toBeLessThanOrEqual(100);
    expect(buckets.take('ann', 100)).toBe(0);
  });

  it('remembers keysMax keys and forgets the least recently used beyond', () => {
    const buckets = new TokenBuckets(1, 1, 2);
    buckets.take('ann', 0);
    buckets.take('bob', 0);
    buckets.take('ann', 0);
    buckets.take('cid', 0);
    expect(buckets.size).toBe(2);
    expect(buckets.take('ann', 0)).toBeGreaterThan(0);
    expect(buckets.take('bob', 0)).toBe(0);
  });

  it('forgives', () => {
    const buckets = new TokenBuckets(1, 1, 2);
    buckets.take('ann', 0);
    buckets.forgive('ann');
    expect(buckets.take('ann', 0)).toBe(0);
  });
});

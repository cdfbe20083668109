import { RateLimits, type RateLimit, type RateRule } from '../../application/ports/rate-limits';
import { MemoryRateLimit } from '../memory/memory-rate-limits';
import { rateKey } from './keys';
import type { RedisLink } from './redis-link';
import { TakeTokensScript } from './scripts/take-tokens';

/** Grants of one key within this time are told to the others as one. */
export const GATHER_MS = 10;
/** Keys that wait to be told; grants beyond them are counted by this node alone. */
export const GATHERED_KEYS_MAX = 1_000;

export interface RedisRateOptions {
  readonly now?: () => number;
  /** Moves the server's clock, in tests. */
  readonly shiftMs?: () => number;
}

/**
 * Rates over all nodes. Each node answers from its own buckets, at once, and tells Redis what it granted; the answer
 * says what all nodes have granted together, and fills its own bucket's debt. So a user who sends by several nodes
 * gets a burst more than they should at most once a node, and never more than the rate for ever.
 */
export class RedisRateLimits extends RateLimits {
  private readonly limits = new Map<string, RedisRateLimit>();

  constructor(
    private readonly link: RedisLink,
    private readonly options: RedisRateOptions = {},
  ) {
    super();
  }

  override open(rule: RateRule): RateLimit {
    const known = this.limits.get(rule.name);
    if (known !== undefined) return known;
    const limit = new RedisRateLimit(this.link, rule, this.options);
    this.limits.set(rule.name, limit);
    return limit;
  }

  /** Tells what was gathered, and resolves when it has been answered. */
  async flush(): Promise<void> {
    await Promise.all([...this.limits.values()].map((limit) => limit.flush()));
  }
}

class RedisRateLimit implements RateLimit {
  private readonly here: MemoryRateLimit;
  private readonly script: TakeTokensScript;
  private gathered = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly link: RedisLink,
    private readonly rule: RateRule,
    { now = () => performance.now(), shiftMs }: RedisRateOptions,
  ) {
    this.here = new MemoryRateLimit(rule, now);
    this.script = new TakeTokensScript(link, shiftMs);
  }

  take(key: string): number {
    const waitMs = this.here.take(key);
    if (waitMs === 0) this.gather(key, 1);
    return waitMs;
  }

  learn(key: string): void {
    this.gather(key, 0);
  }

  forgive(key: string): void {
    this.here.forgive(key);
    this.gathered.delete(key);
    this.link.run((commands) => commands.del(rateKey(this.rule.name, key))).catch(() => undefined);
  }

  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const gathered = this.gathered;
    this.gathered = new Map();
    const { name, perSecond, burst } = this.rule;
    const asking = Array.from(gathered, async ([key, count]) => {
      const debtMs = await this.script.run({ rule: name, perSecond, burst }, key, count);
      this.here.owe(key, debtMs);
    });
    // What cannot be told is counted here alone.
    await Promise.allSettled(asking);
  }

  private gather(key: string, count: number): void {
    if (!this.link.isUp) return;
    const known = this.gathered.get(key);
    if (known === undefined && this.gathered.size >= GATHERED_KEYS_MAX) return;
    this.gathered.set(key, (known ?? 0) + count);
    this.timer ??= setTimeout(() => {
      void this.flush();
    }, GATHER_MS).unref();
  }
}

import { luaNow, LuaScript } from '../lua-script';
import { rateKey } from '../keys';
import type { RedisLink } from '../redis-link';

/** The bucket is kept as the time at which it is full again; it expires then, for a full one need not be known. */
const TEXT = `${luaNow('ARGV[1]')}
local cost, debtMax, count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local fullAt = tonumber(redis.call('GET', KEYS[1]) or now)
local debt = math.min(math.max(fullAt - now, 0) + cost * count, debtMax)
if count > 0 then
  redis.call('SET', KEYS[1], string.format('%.3f', now + debt), 'PX', math.ceil(debt) + 1000)
end
return string.format('%.3f', debt)
`;

export interface Bucket {
  readonly rule: string;
  readonly perSecond: number;
  readonly burst: number;
}

/** Notes what a node has granted, and says what all nodes together have. */
export class TakeTokensScript {
  private readonly script: LuaScript;

  constructor(
    link: RedisLink,
    private readonly shiftMs: () => number = () => 0,
  ) {
    this.script = new LuaScript(link, TEXT);
  }

  /**
   * @param count 0 only asks
   * @returns milliseconds until the bucket is full again. @throws RedisUnavailable
   */
  async run({ rule, perSecond, burst }: Bucket, key: string, count: number): Promise<number> {
    const costMs = 1_000 / perSecond;
    const args = [this.shiftMs(), costMs, costMs * burst, count];
    return Number(await this.script.run([rateKey(rule, key)], args));
  }
}

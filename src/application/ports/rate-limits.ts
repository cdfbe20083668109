/** A rate that holds for each key: `burst` at once, `perSecond` for ever. */
export interface RateRule {
  /** Rules of one name share their counts, on this node and on all others. */
  readonly name: string;
  readonly perSecond: number;
  readonly burst: number;
  /** Keys this node remembers; see TokenBuckets. */
  readonly keysMax: number;
}

/** Users whose message rate a node remembers: far above those who can send in the time a bucket takes to fill. */
const MESSAGE_RATE_USERS_MAX = 100_000;

/** Messages of a user, by whichever door and node (PROTOCOL.md section 3, limits). */
export const messageRate = (limits: {
  readonly messagesPerSecond: number;
  readonly messagesBurst: number;
}): RateRule => ({
  name: 'message',
  perSecond: limits.messagesPerSecond,
  burst: limits.messagesBurst,
  keysMax: MESSAGE_RATE_USERS_MAX,
});

/** Answers at once, from what this node knows: the message path never waits for another machine. */
export interface RateLimit {
  /** Spends one. @returns 0 when granted, else the milliseconds (whole, at least 1) until one is there */
  take(key: string): number;
  /** Asks what other nodes have granted, so that the first `take` of a newcomer knows it. Nobody waits for it. */
  learn(key: string): void;
  /** The key may spend its whole burst again. */
  forgive(key: string): void;
}

/**
 * Rates over all nodes. A node that knows nothing of the others, because there are none or because what connects
 * them is down, counts alone; one that hears of them late may have granted one burst too many by then.
 */
export abstract class RateLimits {
  abstract open(rule: RateRule): RateLimit;
}

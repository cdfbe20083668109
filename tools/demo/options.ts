import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** Minutes of the log in one minute of the demo. */
  readonly speed: number;
  /** Of who goes offline when; printed, so that a run can be repeated. */
  readonly seed: number;
}

export const USAGE = `npm run demo [-- --speed <n>] [-- --seed <n>]
  --speed  how many times faster than it was said the log is replayed: 1 to 5000, default 240
  --seed   chooses who loses the connection, restarts and reads, and when; a whole number`;

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new RangeError(`--${name} must be a whole number from ${min} to ${max}, not ${text}`);
  }
  return value;
}

/** @throws TypeError, RangeError for what makes no sense */
export function demoOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      speed: { type: 'string', default: '240' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  });
  return {
    speed: wholeNumber('speed', values.speed, 1, 5_000),
    seed: wholeNumber('seed', values.seed, 0, 2 ** 31 - 1),
  };
}

/** Uniform in [0, 1), the same sequence for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

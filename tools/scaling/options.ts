import { HEADROOM, UNIT_COSTS, type Headroom, type Load, type UnitCosts } from './model';

export interface ScalingStep {
  readonly name: string;
  readonly load: Load;
}

const COMMON = { messagesPerUser: 50, peakFactor: 3, socketsPerUser: 0.2, devicesPerMessage: 3 };

/** What is calculated when nothing is asked: the steps of docs/scaling.md. */
export const STEPS: readonly ScalingStep[] = [
  { name: '10,000 users', load: { dailyUsers: 10_000, ...COMMON } },
  { name: '1 million users', load: { dailyUsers: 1_000_000, ...COMMON } },
  { name: '50 million users', load: { dailyUsers: 50_000_000, ...COMMON } },
];

export interface ScalingOptions {
  readonly steps: readonly ScalingStep[];
  readonly costs: UnitCosts;
  readonly headroom: Headroom;
}

/**
 * `--<name> <number>` for any number of the load, the unit costs or the headroom, and `--file <json>` for several.
 * @throws Error naming what is not known or no number
 */
export function parseScalingOptions(
  args: readonly string[],
  readFile: (name: string) => string,
): ScalingOptions {
  const given: Record<string, unknown> = {};
  for (let n = 0; n < args.length; n += 2) {
    const [flag = '', value = ''] = args.slice(n, n + 2);
    const name = flag.replace(/^--/, '');
    if (name === 'file') Object.assign(given, JSON.parse(readFile(value)) as object);
    else given[name] = Number(value);
  }
  const [first] = STEPS as readonly [ScalingStep];
  const isLoad = Object.keys(given).some((name) => name in first.load);
  const known = { ...first.load, ...UNIT_COSTS, ...HEADROOM };
  for (const [name, value] of Object.entries(given)) {
    if (!(name in known)) throw new Error(`there is no ${name}; known are ${Object.keys(known).join(', ')}`);
    if (typeof value !== 'number' || !(value > 0)) throw new Error(`${name} must be a number above 0`);
  }
  return {
    steps: isLoad ? [{ name: 'yours', load: pick(first.load, given) }] : STEPS,
    costs: pick(UNIT_COSTS, given),
    headroom: pick(HEADROOM, given),
  };
}

const pick = <T extends object>(defaults: T, given: Readonly<Record<string, unknown>>): T => ({
  ...defaults,
  ...Object.fromEntries(Object.entries(given).filter(([name]) => name in defaults)),
});

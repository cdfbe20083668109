import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd } from './crowd/crowd';
import { randomFrom } from './crowd/random';
import { judge, type Verdict } from './judge/judge';
import type { Scenario, Stage } from './scenario';
import { endOfLog, readLog } from './world/read-log';
import type { World } from './world/world';

const PER_SECOND_DEFAULT = 40;
const PEOPLE_DEFAULT = 4;
const ROOMS_DEFAULT = 2;
/** Then it has not settled at all. */
const SETTLE_PATIENCE_MS = 180_000;
/** FAULTS.md's invariant 21, on a machine that has nothing else to do. */
const LIVENESS_MS = 10_000;
/** What settling takes there after nothing has gone wrong: two looks at the log, a second apart with all they ask. */
const CALM_MS = 1_500;
const CALM_TALK_MS = 2_000;

export interface Outcome {
  readonly verdict: Verdict;
  /** From the end of all faults until every device had everything. */
  readonly settledMs: number;
  /** The same after as much talk without a fault: what this machine takes for it today. */
  readonly calmMs: number | undefined;
  /** What was waited for last. */
  readonly waitedFor: string;
}

export interface PlayOptions {
  readonly seed: number;
  readonly form: Stage['form'];
  /** Whether it is judged how soon all devices were equal: 10 s, and longer by as much as the machine is slower. */
  readonly judgesLiveness: boolean;
}

/** Plays one scenario with a crowd of its own, heals the world, and judges. @throws Error when it never settles */
export async function playScenario(world: World, scenario: Scenario, options: PlayOptions): Promise<Outcome> {
  const random = randomFrom(options.seed);
  const crowd = await Crowd.gather({
    urls: world.urls,
    random,
    people: scenario.people ?? PEOPLE_DEFAULT,
    rooms: scenario.rooms ?? ROOMS_DEFAULT,
    endOfLog: () => endOfLog(world.logUrl),
    readLog: () => readLog(world.logUrl),
  });
  const closers: (() => Promise<void>)[] = [];
  try {
    const perSecond = scenario.perSecond ?? PER_SECOND_DEFAULT;
    if (perSecond > 0) {
      crowd.talk(perSecond);
      crowd.fiddle(2);
    }
    await scenario.play(stageOf(world, crowd, random, options.form, closers));
    crowd.fallSilent();
    await world.heal();
    const healedAt = performance.now();
    for (const deadline = healedAt + SETTLE_PATIENCE_MS; ;) {
      const log = await crowd.settle(deadline - performance.now());
      const settledMs = performance.now() - healedAt;
      const evidence = await crowd.evidence(log);
      // A receipt that was said again late comes while people are asked: then devices know more than this log.
      if (!(await crowd.isAtRest())) continue;
      await world.verify();
      const { waitedFor } = crowd;
      const verdict = judge(evidence);
      if (!options.judgesLiveness) return { verdict, settledMs, calmMs: undefined, waitedFor };
      const calmMs = await settleInCalm(crowd, perSecond);
      const late = lateness(settledMs, calmMs, waitedFor);
      return {
        verdict: { ...verdict, violations: [...verdict.violations, ...late] },
        settledMs,
        calmMs,
        waitedFor,
      };
    }
  } finally {
    await crowd.leave();
    for (const closer of closers) await closer();
  }
}

/** The measure of the machine: everybody talks for a moment, nothing goes wrong, and everybody has everything. */
async function settleInCalm(crowd: Crowd, perSecond: number): Promise<number> {
  crowd.talk(Math.max(perSecond, 1));
  await sleep(CALM_TALK_MS);
  const silentAt = performance.now();
  await crowd.settle(SETTLE_PATIENCE_MS);
  return performance.now() - silentAt;
}

/** Never less than on an idle machine, and in proportion on a busy one: waiting for a CPU is nobody's fault. */
export function lateness(settledMs: number, calmMs: number, waitedFor: string): Verdict['violations'] {
  const allowedMs = LIVENESS_MS * Math.max(1, calmMs / CALM_MS);
  if (settledMs <= allowedMs) return [];
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const text = `settled in ${seconds(settledMs)}, not in ${seconds(allowedMs)} (${seconds(calmMs)} in calm)`;
  return [{ invariant: 21, text: `${text}; at last waiting for ${waitedFor}` }];
}

function stageOf(
  world: World,
  crowd: Crowd,
  random: () => number,
  form: Stage['form'],
  closers: (() => Promise<void>)[],
): Stage {
  return {
    atTheEnd: (closer) => {
      closers.push(closer);
    },
    world,
    crowd,
    random,
    form,
    pause: (fromMs, toMs = fromMs) => sleep(fromMs + random() * (toMs - fromMs)),
    acknowledged: async (more) => {
      const goal = crowd.acknowledged + more;
      const deadline = Date.now() + SETTLE_PATIENCE_MS;
      while (crowd.acknowledged < goal) {
        if (Date.now() > deadline) throw new Error(`no ${more} acknowledgements`);
        await sleep(25);
      }
    },
  };
}

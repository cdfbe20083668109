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
/** Generous: how long it took is told, not asserted. */
const SETTLE_PATIENCE_MS = 180_000;

export interface Outcome {
  readonly verdict: Verdict;
  /** From the end of all faults until every device had everything; FAULTS.md's invariant 21 says 10 s. */
  readonly settledMs: number;
  /** What was waited for last. */
  readonly waitedFor: string;
}

/** Plays one scenario with a crowd of its own, heals the world, and judges. @throws Error when it never settles */
export async function playScenario(
  world: World,
  scenario: Scenario,
  options: { readonly seed: number; readonly form: Stage['form'] },
): Promise<Outcome> {
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
      return { verdict: judge(evidence), settledMs, waitedFor: crowd.waitedFor };
    }
  } finally {
    await crowd.leave();
    for (const closer of closers) await closer();
  }
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

import type { Mutant } from './mutants';
import type { Scenario } from './scenario';
import { simulate, type Verdict } from './simulate';

/** Runs that shrinking may take; each is a scenario of some milliseconds. */
const RUNS_MAX = 400;

/**
 * The smallest scenario found that breaks the same promise: ever smaller pieces of its steps are left out, as
 * long as the rest still breaks it, and then every cause of disorder that is not needed.
 */
export async function shrink(found: Verdict, mutant: Mutant | undefined): Promise<Verdict> {
  let runs = 0;
  const promise = found.violation?.promise;
  const fails = async (scenario: Scenario): Promise<Verdict | undefined> => {
    if (++runs > RUNS_MAX) return undefined;
    const verdict = await simulate(scenario, {
      keepsLines: true,
      ...(mutant === undefined ? {} : { mutant }),
    });
    return verdict.violation?.promise === promise ? verdict : undefined;
  };
  let smallest = (await fails(found.scenario)) ?? found;
  for (const calmer of calmed(smallest.scenario)) {
    smallest = (await fails({ ...smallest.scenario, ...calmer })) ?? smallest;
  }
  let before: number;
  do {
    before = smallest.scenario.steps.length;
    for (let size = Math.ceil(before / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < smallest.scenario.steps.length;) {
        const steps = smallest.scenario.steps.filter((_, n) => n < at || n >= at + size);
        const verdict = await fails({ ...smallest.scenario, steps });
        if (verdict === undefined) at += size;
        else smallest = verdict;
      }
    }
  } while (smallest.scenario.steps.length < before && runs < RUNS_MAX);
  return smallest;
}

/** One cause of disorder less each. */
function* calmed(scenario: Scenario): Generator<Partial<Scenario>> {
  const { weather, devices } = scenario;
  yield { weather: { ...weather, lostAck: 0, lost: 0, late: 0, unavailable: 0, readFails: 0 } };
  yield { weather: { ...weather, breaks: 0, repeats: 0, stalls: 0, skips: 0 } };
  yield { projectorCrashes: 0 };
  yield { networkLatencyMs: 1, projectionLagMs: 2 };
  yield { devices: devices.map(({ user }) => ({ user, syncWindow: undefined })) };
}

import { MUTANTS } from './mutants';
import { scenarioOf } from './scenario';
import { shrink } from './shrink';
import { simulate, type Verdict } from './simulate';

/** The same few by default, so that a run says something of the change it tests; more by hand, from anywhere. */
const SEEDS = Number(process.env['SIM_SEEDS'] ?? 60);
const FROM = Number(process.env['SIM_FROM'] ?? 1);
/** Within so many seeds every rule that was taken away has to be missed. */
const MUTANT_SEEDS_MAX = 1_000;

function report({ scenario, violation, lines }: Verdict): string {
  const { steps, ...rest } = scenario;
  const told = [JSON.stringify(rest), ...steps.map((step) => JSON.stringify(step)), ...lines];
  return `seed ${scenario.seed} breaks "${violation?.message ?? ''}"\n${told.join('\n')}`;
}

describe(`${SEEDS} scenarios from seed ${FROM}`, () => {
  it('keep every promise, and leave no timer of the process behind', async () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const before = timers();
    for (let seed = FROM; seed < FROM + SEEDS; seed++) {
      const verdict = await simulate(scenarioOf(seed));
      if (verdict.violation !== undefined) throw new Error(report(await shrink(verdict, undefined)));
    }
    expect(timers()).toBeLessThanOrEqual(before);
  });
});

describe('a seed', () => {
  it('stands for one run, to the last line', async () => {
    const [first, again, other] = [
      await simulate(scenarioOf(FROM), { keepsLines: true }),
      await simulate(scenarioOf(FROM), { keepsLines: true }),
      await simulate(scenarioOf(FROM + 1)),
    ];
    expect(again.lines).toEqual(first.lines);
    expect(again.digest).toBe(first.digest);
    expect(other.digest).not.toBe(first.digest);
    expect(first.lines.length).toBeGreaterThan(10);
  });

  it('keeps its run when other seeds ran before', async () => {
    const { digest } = await simulate(scenarioOf(FROM + 2));
    for (let n = 3; n < 6; n++) await simulate(scenarioOf(FROM + n));
    expect((await simulate(scenarioOf(FROM + 2))).digest).toBe(digest);
  });
});

describe('without', () => {
  let digest: string | undefined;
  const untouched = async (): Promise<string> => {
    const verdict = await simulate(scenarioOf(1));
    expect(verdict.violation).toBeUndefined();
    return (digest ??= verdict.digest);
  };
  beforeAll(untouched);

  it.each(MUTANTS)('$without, some seed breaks a promise', async (mutant) => {
    for (let seed = 1; seed <= MUTANT_SEEDS_MAX; seed++) {
      const scenario = scenarioOf(seed);
      if (mutant.meets?.(scenario) === false) continue;
      const { violation } = await simulate(scenario, { mutant });
      if (violation === undefined) continue;
      // With the rule back, nothing of it is left: the next mutant is looked for in a world that works.
      const before = digest;
      await untouched();
      expect((await simulate(scenarioOf(1))).digest).toBe(before);
      return;
    }
    throw new Error(`${mutant.name} was not missed in ${MUTANT_SEEDS_MAX} seeds`);
  });

  it('a rule, the failing scenario shrinks to few steps that break the same promise', async () => {
    const mutant = MUTANTS.find(({ name }) => name === 'expected-revision');
    if (mutant === undefined) throw new Error('there is no such mutant');
    let found: Verdict | undefined;
    for (let seed = 1; found?.violation === undefined; seed++) {
      found = await simulate(scenarioOf(seed), { mutant });
    }
    const smallest = await shrink(found, mutant);
    expect(smallest.violation?.promise).toBe(found.violation.promise);
    expect(smallest.scenario.steps.length).toBeLessThan(found.scenario.steps.length);
    const again = await simulate(smallest.scenario, { mutant });
    expect(again.digest).toBe(smallest.digest);
  });
});

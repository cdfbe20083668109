import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { randomFrom } from './crowd/random';
import { randomKills } from './random-kills';
import { playScenario, type Outcome } from './run';
import type { Scenario } from './scenario';
import { SCENARIOS, scenarioOf } from './scenarios';
import { World, type Topology } from './world/world';

const BUILD = join(__dirname, '..', '..');
const VIOLATIONS_SHOWN_MAX = 20;

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const { values } = parseArgs({
  options: {
    list: { type: 'boolean', default: false },
    only: { type: 'string' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    short: { type: 'boolean', default: false },
    topology: { type: 'string', default: 'cluster' },
  },
});
const TOPOLOGIES: readonly Topology[] = ['single', 'cluster', 'fleet'];
const SEED = Number(values.seed ?? Date.now() % 1_000_000);
const FORM = values.short ? 'short' : 'long';

function topologyOf(name: string): Topology {
  const found = TOPOLOGIES.find((topology) => topology === name);
  if (found === undefined) throw new Error(`--topology must be one of ${TOPOLOGIES.join(', ')}`);
  return found;
}

function list(): void {
  const width = Math.max(...SCENARIOS.map(({ name }) => name.length));
  for (const { name, what } of SCENARIOS) say(`${name.padEnd(width)}  ${what}`);
}

/** @returns whether it was kept to */
function tell(name: string, { verdict, settledMs, calmMs = 0, waitedFor }: Outcome): boolean {
  const { violations, counted } = verdict;
  const { messages, acknowledged, sightings, connections } = counted;
  const did = `${messages} messages, ${acknowledged} acknowledgements, ${sightings} sightings over ${connections} connections`;
  const [after, calm] = [settledMs, calmMs].map((ms) => (ms / 1_000).toFixed(1));
  const settled = `settled in ${after} s (in calm ${calm} s), at last waiting for ${waitedFor}`;
  say(`${violations.length === 0 ? 'kept  ' : 'BROKEN'} ${name}: ${did}; ${settled}`);
  for (const { invariant, text } of violations.slice(0, VIOLATIONS_SHOWN_MAX)) {
    say(`       invariant ${invariant}: ${text}`);
  }
  if (violations.length > VIOLATIONS_SHOWN_MAX)
    say(`       and ${violations.length - VIOLATIONS_SHOWN_MAX} more`);
  return violations.length === 0;
}

let world: World | undefined;
let isEnding = false;

async function play(scenario: Scenario, seed: number): Promise<boolean> {
  try {
    world = await World.open({ ...scenario, build: BUILD, random: randomFrom(seed) });
    return tell(
      scenario.name,
      await playScenario(world, scenario, { seed, form: FORM, judgesLiveness: true }),
    );
  } catch (error) {
    say(
      `BROKEN ${scenario.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    for (const { program } of world?.nodes ?? []) say(`--- ${program.name}: ${program.said.slice(-1_500)}`);
    return false;
  } finally {
    await world?.close();
    world = undefined;
  }
}

// Whoever interrupts a run wants it to end, and none of its processes to stay.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A wrapper may pass on what the terminal has sent already: the second one must not cut the first one short.
    if (isEnding) return;
    isEnding = true;
    const closed = world?.close() ?? Promise.resolve();
    void closed.finally(() => process.exit(130));
  });
}

async function main(): Promise<boolean> {
  if (values.list) {
    list();
    return true;
  }
  say(`--seed ${SEED}`);
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
  const scenarios =
    values.only !== undefined
      ? [scenarioOf(values.only)]
      : minutes === undefined
        ? SCENARIOS
        : [randomKills(topologyOf(values.topology), minutes)];
  const until = Date.now() + (minutes ?? 0) * 60_000;
  let isKept = true;
  // `--only x --minutes m`: the same misfortune with ever other seeds for so long.
  for (let seed = SEED; ; seed++) {
    for (const scenario of scenarios) isKept = (await play(scenario, seed)) && isKept;
    if (values.only === undefined || Date.now() >= until) return isKept;
  }
}

main().then(
  (isKept) => {
    process.exit(isKept ? 0 : 1);
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);

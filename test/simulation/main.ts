import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { MUTANTS } from './mutants';
import { scenarioOf } from './scenario';
import { shrink } from './shrink';
import { simulate, type Verdict } from './simulate';

const USAGE = `usage: npm run simulate -- [--seeds 1000] [--from <seed>] [--mutant <name>]
       npm run simulate -- --replay <seed> [--mutant <name>]

--seeds    how many scenarios, one per seed (default 1000)
--from     the first seed (default: any); the first one that breaks a promise is shrunk and printed
--replay   one seed, with everything that happens in it
--mutant   with a rule taken away: ${MUTANTS.map(({ name }) => name).join(', ')}`;

const PROGRESS_MS = 5_000;
const realNow = Date.now;

const sentence = ({ violation, convergedMs, digest, events }: Verdict): string =>
  violation === undefined
    ? `kept every promise: ${events} events, equal ${convergedMs} ms after the faults; trace ${digest}`
    : `BROKE ${violation.message}; trace ${digest}`;

async function replay(seed: number, mutant: (typeof MUTANTS)[number] | undefined): Promise<boolean> {
  const options = { keepsLines: true, ...(mutant === undefined ? {} : { mutant }) };
  const verdict = await simulate(scenarioOf(seed), options);
  console.log(verdict.lines.join('\n'));
  console.log(`seed ${seed} ${sentence(verdict)}`);
  return verdict.violation === undefined;
}

async function explain(found: Verdict, mutant: (typeof MUTANTS)[number] | undefined): Promise<void> {
  const smallest = await shrink(found, mutant);
  const { steps, ...rest } = smallest.scenario;
  console.log(`seed ${found.scenario.seed} ${sentence(found)}`);
  console.log(`\nthe smallest scenario found that still does (${steps.length} of its steps):`);
  console.log(JSON.stringify(rest));
  for (const step of steps) console.log(`  ${JSON.stringify(step)}`);
  console.log(`\nwhat happens in it:\n${smallest.lines.join('\n')}`);
  console.log(`\nthe whole scenario again: npm run simulate -- --replay ${found.scenario.seed}`);
}

async function many(
  from: number,
  seeds: number,
  mutant: (typeof MUTANTS)[number] | undefined,
): Promise<boolean> {
  const startedAt = realNow();
  const cpu = process.cpuUsage();
  let toldAt = startedAt;
  let [events, slowest] = [0, 0];
  const told = (count: number): string => {
    const { user, system } = process.cpuUsage(cpu);
    const cpuMinutes = (user + system) / 60_000_000;
    const perMinute = Math.round((count * 60_000) / (realNow() - startedAt));
    const perCpuMinute = Math.round(count / cpuMinutes);
    return `${count} seeds, ${events} events, ${perMinute} seeds/min (${perCpuMinute} per minute of CPU)`;
  };
  for (let n = 0; n < seeds; n++) {
    const verdict = await simulate(scenarioOf(from + n), mutant === undefined ? {} : { mutant });
    events += verdict.events;
    slowest = Math.max(slowest, verdict.convergedMs);
    if (verdict.violation !== undefined) {
      await explain(verdict, mutant);
      console.log(`found after ${told(n + 1)}`);
      return false;
    }
    if (realNow() - toldAt < PROGRESS_MS) continue;
    toldAt = realNow();
    console.log(told(n + 1));
  }
  console.log(`no promise broken: ${told(seeds)}; slowest to be equal: ${slowest} ms after the faults`);
  return true;
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string' },
      replay: { type: 'string' },
      mutant: { type: 'string' },
    },
  });
  const mutant = MUTANTS.find(({ name }) => name === values.mutant);
  if (values.mutant !== undefined && mutant === undefined) throw new Error(`no mutant ${values.mutant}`);
  if (values.replay !== undefined) return replay(Number(values.replay), mutant);
  const from = values.from === undefined ? realNow() % 1_000_000_000 : Number(values.from);
  console.log(`seeds ${from} to ${from + Number(values.seeds) - 1}`);
  return many(from, Number(values.seeds), mutant);
}

main().then(
  (isGood) => {
    process.exit(isGood ? 0 : 1);
  },
  (error: unknown) => {
    console.error(`${String(error instanceof Error ? error.stack : error)}\n\n${USAGE}`);
    process.exit(2);
  },
);

import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ejabberd, floor, parley, type Contestant } from './contestants';
import { drawCurves } from './curves';
import { guard } from './guard';
import { WATCHED } from './guarded';
import { THIS_BUILD } from './load/server';
import { parseOptions, type Options } from './options';
import { describeMachine } from './report/machine';
import { stagesOf } from './report/stages';
import { plain, summarize } from './report/summary';
import { table } from './report/table';
import { MissingInput, type Metrics, type Scenario } from './scenario';
import { coldScenario } from './scenarios/cold';
import { directScenario } from './scenarios/direct';
import { eventLogScenario } from './scenarios/event-log';
import { generatorScenario } from './scenarios/generator';
import { groupScenario } from './scenarios/group';
import { idleScenario } from './scenarios/idle';
import { inboxScenario } from './scenarios/inbox';
import { mixedScenario } from './scenarios/mixed';
import { projectionsScenario } from './scenarios/projections';
import { receiptsScenario } from './scenarios/receipts';
import { replayScenario } from './scenarios/replay';
import { roomsScenario } from './scenarios/rooms';
import { stormScenario } from './scenarios/storm';
import { syncScenario } from './scenarios/sync';

const SCENARIOS: readonly Scenario[] = [
  directScenario,
  roomsScenario,
  groupScenario,
  idleScenario,
  stormScenario,
  syncScenario,
  inboxScenario,
  coldScenario,
  receiptsScenario,
  mixedScenario,
  replayScenario,
  eventLogScenario,
  projectionsScenario,
  generatorScenario,
];
const RUNS_DEFAULT = 3;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function help(): void {
  say('npm run bench -- <scenario>|all [--quick] [--runs N] [--seconds N] [--case text] [--json file]');
  say(
    '                 [--against name=path/to/dist/src/main.js[,--node-flag]…]… [--floor] [--peer ejabberd] [--profile folder] [--receipts off|gathered|each]',
  );
  for (const { name, about } of SCENARIOS) say(`  ${name.padEnd(12)} ${about}`);
  say(
    '  curves       what grows with what: figures and pictures in docs/performance (--case name, --draw yes)',
  );
  say('  guard        fails when Parley falls behind its recorded share of the floor');
}

/** Who takes part: this build, others, and what they are held against. */
function contestantsOf(options: Options): readonly Contestant[] {
  const builds = options.values('against').map((text) => {
    const [place = '', ...flags] = text.split(',');
    const [name = '', path = ''] = place.split('=', 2);
    return { name, script: resolve(path), flags };
  });
  const peers = options.values('peer');
  if (peers.some((peer) => peer !== 'ejabberd')) throw new Error('--peer can be ejabberd');
  return [
    ...[THIS_BUILD, ...builds].map((build) => parley(build, options)),
    ...(options.flag('floor') ? [floor('ws relay', options), floor('ws + Postgres', options)] : []),
    ...peers.map(() => ejabberd(options)),
  ];
}

/** Where the time of the profiled server's main thread went. */
function sayStages(options: Options, microsecondsPerMessage: number): void {
  const folder = options.value('profile');
  if (folder === undefined) return;
  say('\nstage                              share  µs/message');
  for (const [stage, share] of stagesOf(folder)) {
    const microseconds = plain(share * microsecondsPerMessage).padStart(10);
    say(`${stage.padEnd(32)} ${(share * 100).toFixed(1).padStart(5)} %  ${microseconds}`);
  }
}

const runsOf = (options: Options): number =>
  Number(options.value('runs') ?? (options.flag('quick') ? 1 : RUNS_DEFAULT));

/** Among all others, a case that lacks something is left out, and says so; alone, it is an error. */
async function unlessMissing(
  metrics: Promise<Metrics | undefined>,
  options: Options,
): Promise<Metrics | undefined> {
  try {
    return await metrics;
  } catch (error) {
    if (!(error instanceof MissingInput) || !options.names.includes('all')) throw error;
    say(`left out: ${error.message}`);
    return undefined;
  }
}

async function runGuard(options: Options): Promise<void> {
  const { lines, stands } = await guard(
    WATCHED,
    parley(THIS_BUILD, options),
    floor('ws relay', options),
    runsOf(options),
  );
  for (const line of lines) say(line);
  process.exitCode = stands ? 0 : 1;
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.names.includes('curves')) {
    await drawCurves(parley(THIS_BUILD, options), options, say);
    return;
  }
  if (options.names.includes('guard')) {
    await runGuard(options);
    return;
  }
  const chosen = SCENARIOS.filter(
    ({ name }) => options.names.includes(name) || options.names.includes('all'),
  );
  if (chosen.length === 0 || options.flag('help')) {
    help();
    process.exitCode = options.flag('help') ? 0 : 1;
    return;
  }
  const machine = describeMachine();
  say(
    Object.entries(machine)
      .map(([name, value]) => `${name}: ${value}`)
      .join(' · '),
  );
  const contestants = contestantsOf(options);
  const runs = runsOf(options);
  const results: Record<string, Record<string, readonly Metrics[]>> = {};
  const wanted = options.value('case') ?? '';
  for (const one of chosen.flatMap(({ cases }) => cases).filter(({ name }) => name.includes(wanted))) {
    const measured = new Map<string, Metrics[]>();
    // Alternately, so that what else the machine does meets all of them alike.
    for (let run = 0; run < runs; run++) {
      for (const { name, run: runOnce } of contestants) {
        const metrics = await unlessMissing(runOnce(one), options);
        if (metrics !== undefined) measured.set(name, [...(measured.get(name) ?? []), metrics]);
      }
    }
    if (measured.size === 0) continue;
    results[one.name] = Object.fromEntries(measured);
    const columns = [...measured].map(([name, all]) => [name, summarize(all)] as const);
    say(`\n${table(one.name, Object.fromEntries(columns))}`);
    sayStages(options, columns[0]?.[1]['main thread µs/message']?.median ?? 0);
  }
  const file = options.value('json');
  if (file !== undefined) writeFileSync(file, `${JSON.stringify({ machine, results }, null, 1)}\n`);
}

main().catch((error: unknown) => {
  const told = error instanceof MissingInput ? error.message : error instanceof Error ? error.stack : error;
  process.stderr.write(`${String(told)}\n`);
  process.exit(1);
});

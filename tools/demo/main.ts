import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { existsSync } from 'node:fs';
import { parseLog } from '../import/parse-log';
import { Measurements } from './measurements';
import { demoOptions, seeded, USAGE, type DemoOptions } from './options';
import { importLog, startServer } from './processes';
import { scriptOf } from './script';
import { Stage } from './stage';
import { withTable } from './table';
import { judge } from './verdict';

const IMPORTED = '2008-07-03';
const REPLAYED = '2005-12-23';

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** The logs are beside the sources, not in `dist`: the first folder upwards with a package.json is the package. */
function dataFile(name: string): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    if (dirname(folder) === folder) throw new Error('the package of the demo is not to be found');
    folder = dirname(folder);
  }
  return join(folder, 'tools', 'demo', 'data', name);
}

async function replay(url: string, options: DemoOptions): Promise<boolean> {
  const raw = await readFile(dataFile(`${REPLAYED}.raw.txt`));
  const annotations = await readFile(dataFile(`${REPLAYED}.annotation.txt`), 'utf8');
  const script = scriptOf(parseLog(`${REPLAYED}.raw.txt`, raw), annotations);
  const measurements = new Measurements();
  const stage = new Stage(url, script, seeded(options.seed), measurements);
  say(`\nReplaying ${script.title} at ${options.speed} times its speed (seed ${options.seed}).`);
  await stage.prepare((done, all) => {
    if (process.stdout.isTTY)
      process.stdout.write(`\r  accounts ${done} of ${all}${done === all ? '\n' : ''}`);
  });
  const start = performance.now();
  const length = script.durationMs / options.speed;
  const scene = () => ({
    people: stage.people.size,
    online: stage.online,
    done: Math.min(1, (performance.now() - start) / length),
  });
  const log = await withTable(
    measurements,
    scene,
    stage.play(options.speed).then(() => stage.settle()),
  );
  const verdict = judge(log, [...stage.people.values()]);
  await stage.leave();
  for (const detail of [...measurements.failures, ...verdict.details]) say(`  ! ${detail}`);
  say(`\nlost ${verdict.lost} · doubled ${verdict.doubled} · out of order ${verdict.outOfOrder}`);
  say(`given to strangers ${verdict.strangers} · unread counts that disagree ${measurements.disagreements}`);
  const sum = verdict.lost + verdict.doubled + verdict.outOfOrder + verdict.strangers;
  return sum + measurements.disagreements + measurements.failures.length === 0;
}

async function main(): Promise<void> {
  const options = demoOptions(process.argv.slice(2));
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-demo-'));
  let succeeded = false;
  try {
    say(`Importing #ubuntu of ${IMPORTED}.`);
    await importLog(dataFile(`${IMPORTED}.raw.txt`), dataDir);
    const server = await startServer(dataDir);
    try {
      succeeded = await replay(server.url, options);
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
  say(succeeded ? 'Every promise held.' : 'Something is wrong: see above.');
  process.exitCode = succeeded ? 0 : 1;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof TypeError || error instanceof RangeError) process.stderr.write(`${USAGE}\n`);
  process.exitCode = 1;
});

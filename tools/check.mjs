// Everything CI checks, in the same way and order: `npm run check`. `--tests-done` leaves the tests out, for a
// caller that has just run them. Goes on after a failure, so that one run tells all that is wrong.
import { spawnSync } from 'node:child_process';
import { delimiter, resolve } from 'node:path';

const steps = [
  ['format', 'prettier', ['--check', '.']],
  ['lint', 'eslint', ['.']],
  ['types', 'tsc', ['-p', '.']],
  [
    'imports',
    'depcruise',
    [
      '--config',
      '.dependency-cruiser.cjs',
      'src',
      'projections',
      'embedded',
      'sdk',
      'tools',
      'bench',
      'test',
    ],
  ],
  ['dead code', 'knip', []],
  ...(process.argv.includes('--tests-done') ? [] : [['tests', 'npm', ['test']]]),
];

// Also when it is called without npm, which would set the path.
const env = { ...process.env, PATH: `${resolve('node_modules/.bin')}${delimiter}${process.env.PATH}` };

const failures = [];
for (const [name, command, args] of steps) {
  const started = Date.now();
  const { status } = spawnSync(command, args, { stdio: 'inherit', env });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  if (status !== 0) failures.push(name);
}
if (failures.length > 0) {
  console.error(`check failed: ${failures.join(', ')}`);
  process.exit(1);
}

import { readFileSync } from 'node:fs';
import { parseScalingOptions } from './options';
import { tableOf } from './table';

try {
  const options = parseScalingOptions(process.argv.slice(2), (name) => readFileSync(name, 'utf8'));
  process.stdout.write(`${tableOf(options.steps, options.costs, options.headroom)}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

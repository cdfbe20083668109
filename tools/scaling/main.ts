import { readFileSync, writeFileSync } from 'node:fs';
import { measureUnitCosts } from './measure';
import { HEADROOM, UNIT_COSTS } from './model';
import { parseScalingOptions, STEPS } from './options';
import { measuredTableOf, tableOf } from './table';

/** `--measure [file]`: measures the unit costs here, and calculates with them; the file takes them for `--file`. */
async function measure(file: string | undefined): Promise<void> {
  const measured = await measureUnitCosts((text) => {
    process.stderr.write(`measuring: ${text}\n`);
  });
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(measured, null, 2)}\n`);
  process.stdout.write(`${measuredTableOf(measured, UNIT_COSTS)}\n\n`);
  process.stdout.write(`${tableOf(STEPS, { ...UNIT_COSTS, ...measured }, HEADROOM)}\n`);
}

async function main(): Promise<void> {
  const [first, ...others] = process.argv.slice(2);
  if (first === '--measure') {
    await measure(others[0]);
    return;
  }
  const options = parseScalingOptions(process.argv.slice(2), (name) => readFileSync(name, 'utf8'));
  process.stdout.write(`${tableOf(options.steps, options.costs, options.headroom)}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

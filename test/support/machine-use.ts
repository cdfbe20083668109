import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const BUSY_FIELDS = [0, 1, 2, 5, 6, 7];

/** Ticks of all processors since the machine was started. */
function machineTicks(): { readonly busy: number; readonly all: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  return { busy: sum(BUSY_FIELDS.map((n) => ticks[n] ?? 0)), all: sum(ticks) };
}

/**
 * How busy the machine was, everybody's work together: what was measured on one that had no time left says how
 * much there was to do, and little of what it was measured for.
 */
export class MachineUse {
  private readonly ticks = machineTicks();
  private readonly own = process.cpuUsage();
  private readonly startedAt = performance.now();

  /** For people: processors busy of those there are, and how much of that was this process. */
  told(): string {
    const { busy, all } = machineTicks();
    const processors = availableParallelism();
    const inUse = ((busy - this.ticks.busy) / Math.max(1, all - this.ticks.all)) * processors;
    const { user, system } = process.cpuUsage(this.own);
    const own = (user + system) / 1_000 / (performance.now() - this.startedAt);
    return `${inUse.toFixed(2)} of ${processors} processors busy, ${own.toFixed(2)} with the devices`;
  }
}

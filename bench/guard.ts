import type { Contestant } from './contestants';
import { summarize } from './report/summary';
import type { Case, Metrics } from './scenario';

/** A share that must not be lost: what Parley spends on something, in that of a floor of the same minutes. */
export interface Guarded {
  readonly name: string;
  readonly ours: (metrics: Metrics) => number;
  readonly floor: (metrics: Metrics) => number;
  /** Ours ÷ the floor's when it was recorded (docs/performance.md). */
  readonly recorded: number;
  /** How many times the recorded share it may cost before this fails: machines differ, and CI's are busy. */
  readonly margin: number;
}

/** One case, and who else runs it; without a floor of its own the case measures one beside. */
export interface Watched {
  readonly of: Case;
  readonly guarded: readonly Guarded[];
}

/**
 * CPU rather than time: other processes can keep a benchmark waiting for as long as they like, but they hardly change
 * what a message costs, and the floor is measured beside it. Messages a second are left out, because the floor has no
 * disk to wait for. The margins are wide: they catch a lever that came off, not a per cent.
 *
 * @returns a line for each guarded share, and whether all of them stand
 */
export async function guard(
  watched: readonly Watched[],
  parley: Contestant,
  floor: Contestant,
  runs: number,
): Promise<{ readonly lines: readonly string[]; readonly stands: boolean }> {
  const verdicts: { readonly line: string; readonly stands: boolean }[] = [];
  for (const { of, guarded } of watched) {
    const measured: Record<'parley' | 'floor', Metrics[]> = { parley: [], floor: [] };
    for (let run = 0; run < runs; run++) {
      if (of.hasFloor === true) measured.floor.push((await floor.run(of)) ?? {});
      measured.parley.push((await parley.run(of)) ?? {});
    }
    const ours = medians(measured.parley);
    const theirs = of.hasFloor === true ? medians(measured.floor) : ours;
    verdicts.push(...guarded.map((one) => judge(one, one.ours(ours), one.floor(theirs))));
  }
  return { lines: verdicts.map(({ line }) => line), stands: verdicts.every(({ stands }) => stands) };
}

const medians = (runs: readonly Metrics[]): Metrics =>
  Object.fromEntries(Object.entries(summarize(runs)).map(([name, { median }]) => [name, median]));

/** Exported for its spec: the rule, without a benchmark. */
export function judge(
  { name, recorded, margin }: Pick<Guarded, 'name' | 'recorded' | 'margin'>,
  ours: number,
  floor: number,
): { readonly line: string; readonly stands: boolean } {
  const share = ours / floor;
  const bound = recorded * margin;
  // A side that did nothing has a share of nothing, or of infinity, or none: none of them stands.
  const stands = share > 0 && share <= bound;
  const says = `${name}: ${share.toFixed(2)} × the floor of ${floor.toFixed(1)} µs (recorded ${recorded}, bound ${bound.toFixed(1)})`;
  return { line: `${stands ? 'ok    ' : 'FAILED'} ${says}`, stands };
}

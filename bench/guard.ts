import { directScenario } from './scenarios/direct';
import type { Contestant } from './contestants';
import { summarize } from './report/summary';
import type { Metrics } from './scenario';

/** A share that must not be lost: what Parley does of what the floor does in the same minute, and what it costs. */
interface Guarded {
  readonly metric: string;
  /** Parley ÷ floor, as measured when it was recorded (docs/performance.md). */
  readonly recorded: number;
  /** How many times worse than recorded it may get before this fails: machines differ, and CI's are busy. */
  readonly margin: number;
  readonly isBetter: 'higher' | 'lower';
}

/**
 * CPU rather than time: other processes can keep a benchmark waiting for as long as they like, but they hardly change
 * what a message costs, and the floor is measured beside it. Messages a second are left out, because the floor has no
 * disk to wait for. The margin is wide: it catches a lever that came off, not a per cent.
 */
const GUARDED: readonly Guarded[] = [
  { metric: 'main thread µs/message', recorded: 3.6, margin: 3, isBetter: 'lower' },
];

/** @returns a line for each guarded share, and whether all of them stand */
export async function guard(
  parley: Contestant,
  floor: Contestant,
  runs: number,
): Promise<{ readonly lines: readonly string[]; readonly stands: boolean }> {
  const closed = directScenario.cases.find(({ name }) => name === 'direct closed');
  if (closed === undefined) throw new Error('there is no case to guard');
  const measured: Record<'parley' | 'floor', Metrics[]> = { parley: [], floor: [] };
  for (let run = 0; run < runs; run++) {
    for (const [name, contestant] of Object.entries({ floor, parley }) as [
      'parley' | 'floor',
      Contestant,
    ][]) {
      const metrics = await contestant.run(closed);
      if (metrics !== undefined) measured[name].push(metrics);
    }
  }
  const [ours, theirs] = [summarize(measured.parley), summarize(measured.floor)];
  const verdicts = GUARDED.map((guarded) =>
    judge(guarded, ours[guarded.metric]?.median ?? 0, theirs[guarded.metric]?.median ?? 0),
  );
  return { lines: verdicts.map(({ line }) => line), stands: verdicts.every(({ stands }) => stands) };
}

/** Exported for its spec: the rule, without a benchmark. */
export function judge(
  { metric, recorded, margin, isBetter }: Guarded,
  ours: number,
  theirs: number,
): { readonly line: string; readonly stands: boolean } {
  const share = theirs === 0 ? Number.NaN : ours / theirs;
  const bound = isBetter === 'higher' ? recorded / margin : recorded * margin;
  const stands = isBetter === 'higher' ? share >= bound : share <= bound;
  const says = `${metric}: ${share.toFixed(2)} × the floor (recorded ${recorded}, bound ${bound.toFixed(2)})`;
  return { line: `${stands ? 'ok    ' : 'FAILED'} ${says}`, stands };
}

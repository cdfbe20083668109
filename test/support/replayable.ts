import type { Parameters } from 'fast-check';

/**
 * Settings of a property test: a fresh seed each time, printed by fast-check with the path of what failed,
 * and taken back from `PROPERTY_SEED` (and `PROPERTY_PATH`). `PROPERTY_RUNS` multiplies the number of runs.
 */
export function replayable<T>(numRuns: number): Parameters<T> {
  const { PROPERTY_SEED: seed, PROPERTY_PATH: path, PROPERTY_RUNS: factor } = process.env;
  return {
    numRuns: numRuns * Number(factor ?? 1),
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path }),
  };
}

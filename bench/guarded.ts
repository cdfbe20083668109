import type { Watched } from './guard';
import type { Metrics } from './scenario';
import { directScenario } from './scenarios/direct';
import { projectionsScenario } from './scenarios/projections';

const sum =
  (...names: readonly string[]) =>
  (metrics: Metrics): number =>
    names.reduce((total, name) => total + (metrics[name] ?? Number.NaN), 0);

const caseNamed = (cases: (typeof directScenario)['cases'], wanted: string): Watched['of'] => {
  const found = cases.find(({ name }) => name === wanted);
  if (found === undefined) throw new Error(`there is no case ${wanted}`);
  return found;
};

const COPY = sum('COPY: node CPU µs/row', 'COPY: postgres CPU µs/row');

/** What `npm run bench -- guard` holds the build to. */
export const WATCHED: readonly Watched[] = [
  {
    of: caseNamed(directScenario.cases, 'direct closed'),
    guarded: [
      {
        name: 'a direct message, CPU of the main thread',
        ours: sum('main thread µs/message'),
        floor: sum('main thread µs/message'),
        recorded: 5,
        margin: 3,
      },
    ],
  },
  {
    of: caseNamed(projectionsScenario.cases, 'projections'),
    guarded: [
      {
        name: 'an event projected live, CPU of Node and Postgres',
        ours: sum('live: node CPU µs/event', 'live: postgres CPU µs/event'),
        floor: COPY,
        recorded: 16,
        margin: 2.5,
      },
      {
        name: 'an event rebuilt into two models, CPU of Node and Postgres',
        ours: sum('rebuild: node CPU µs/event', 'rebuild: postgres CPU µs/event'),
        floor: COPY,
        recorded: 13,
        margin: 2.5,
      },
    ],
  },
];

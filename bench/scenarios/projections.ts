import { history } from '../../projections/history/history.projection';
import { inbox } from '../../projections/inbox/inbox.projection';
import { rebuild } from '../../projections/rebuild/rebuild';
import { SystemClock } from '../../src/kernel/clock';
import { usageOf } from '../load/processes';
import { copyMessages } from '../projections/copy-floor';
import { openWorkshop, silent, type Workshop } from '../projections/workshop';
import type { Metrics, Scenario, Surroundings } from '../scenario';
import { writePopulation } from '../seed/population';

const EVENTS = 500_000;
const EVENTS_QUICK = 20_000;

/** What `work` cost for each of `count` pieces, told as `name`. */
async function measured(
  name: string,
  unit: string,
  count: number,
  work: () => Promise<void>,
): Promise<Metrics> {
  const before = usageOf(process.pid);
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = usageOf(process.pid);
  return {
    [`${name}: ${unit}s/s`]: count / seconds,
    [`${name}: node CPU µs/${unit}`]: (after.nodeUs - before.nodeUs) / count,
    [`${name}: postgres CPU µs/${unit}`]: (after.postgresUs - before.postgresUs) / count,
  };
}

/** As `npm run projections -- rebuild` does it, of two models in one pass, compared with the live ones and swapped. */
async function rebuildBoth({ log, database }: Workshop): Promise<void> {
  const { models } = await rebuild({
    eventLog: log,
    database,
    projections: [history, inbox],
    clock: new SystemClock(),
    log: silent,
    owner: 'bench',
  });
  const differing = models.filter(({ swapped }) => !swapped).map(({ name }) => name);
  if (differing.length > 0) throw new Error(`rebuilt, and not equal: ${differing.join(', ')}`);
}

async function projections({ quick, option }: Surroundings): Promise<Metrics> {
  const events = Number(option('events') ?? (quick ? EVENTS_QUICK : EVENTS));
  const workshop = await openWorkshop();
  try {
    await writePopulation(workshop.log, events);
    const live = await measured('live', 'event', events, () => workshop.projectAll());
    const projector = workshop.projector();
    projector.start();
    const rebuilt = await measured('rebuild', 'event', events, () => rebuildBoth(workshop));
    await projector.stop();
    const floor = await copyMessages(workshop, (rows, copy) => measured('COPY', 'row', rows, copy));
    const share = (rebuilt['rebuild: events/s'] ?? 0) / (floor['COPY: rows/s'] ?? 1);
    return { events, ...live, ...rebuilt, ...floor, 'rebuild ÷ COPY': share };
  } finally {
    await workshop.stop();
  }
}

export const projectionsScenario: Scenario = {
  name: 'projections',
  about:
    'all read models live, history and inbox rebuilt in one pass, and COPY of the messages as the floor (--events)',
  cases: [{ name: 'projections', run: projections }],
};

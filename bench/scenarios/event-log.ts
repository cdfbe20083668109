import { measureLargeStore } from '../event-log/large-store';
import { measureAppends, measureCatchUp, measureLive, measureReads } from '../event-log/measure';
import { adapters, type BenchedAdapter } from '../event-log/stores';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';

const SECONDS = 3;
const QUICK_SECONDS = 0.5;
const WRITERS = [1, 10, 200];
const EVENTS_PER_APPEND = [1, 10, 100];
const LARGE_EVENTS = 10_000_000;
const QUICK_LARGE_EVENTS = 100_000;
const MEBIBYTE = 1_048_576;

/** Every adapter of the port `EventLog`, alone: no gateway, no projection, no Postgres. */
export const eventLogScenario: Scenario = {
  name: 'event-log',
  about:
    'appends, reads, subscriptions of every adapter (EVENTSTORE_URL adds a server); a large store opened',
  cases: [
    ...adapters(process.env['EVENTSTORE_URL']).map(caseOf),
    { name: 'event-log: embedded, large store', run: runLargeStore },
  ],
};

function caseOf(adapter: BenchedAdapter): Case {
  return {
    name: `event-log: ${adapter.name}`,
    run: async (surroundings) => {
      const opened = await adapter.open();
      const { log } = opened;
      try {
        const seconds = secondsOf(surroundings);
        const metrics: Record<string, number> = {};
        for (const writers of WRITERS) {
          for (const size of EVENTS_PER_APPEND) {
            const figures = await measureAppends(log, writers, size, seconds);
            const name = `${writers} writers × ${size}`;
            metrics[`${name}: events/s`] = figures.eventsPerSecond;
            metrics[`${name}: µs CPU here/append`] = figures.cpuPerAppendUs;
            metrics[`${name}: p50 ms`] = figures.p50;
            metrics[`${name}: p99 ms`] = figures.p99;
          }
        }
        metrics['read all: events/s'] = await measureReads(log, seconds);
        metrics['catch up: events/s'] = await measureCatchUp(log);
        const live = await measureLive(log, seconds);
        metrics['live beside 20 writers: events/s'] = live.eventsPerSecond;
        metrics['live: append → subscriber p50 ms'] = live.p50;
        metrics['live: append → subscriber p99 ms'] = live.p99;
        return metrics;
      } finally {
        await opened.close();
      }
    },
  };
}

async function runLargeStore(surroundings: Surroundings): Promise<Metrics> {
  const events = Number(
    surroundings.option('events') ?? (surroundings.quick ? QUICK_LARGE_EVENTS : LARGE_EVENTS),
  );
  if (!Number.isSafeInteger(events) || events < 1) throw new Error('--events is a whole number above 0');
  const figures = await measureLargeStore(events);
  return {
    events: figures.events,
    'MiB on disk': figures.fileBytes / MEBIBYTE,
    'opened in ms': figures.openMs,
    'heap and buffers at a tenth, MiB': figures.memoryBefore / MEBIBYTE,
    'heap and buffers at the end, MiB': figures.memoryAfter / MEBIBYTE,
  };
}

function secondsOf({ quick, option }: Surroundings): number {
  const seconds = Number(option('seconds') ?? (quick ? QUICK_SECONDS : SECONDS));
  if (!(seconds > 0)) throw new Error('--seconds is a number above 0');
  return seconds;
}

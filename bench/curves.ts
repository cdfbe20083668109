import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Contestant } from './contestants';
import type { Options } from './options';
import { describeMachine, type Machine } from './report/machine';
import { plot } from './report/plot';
import type { Case, Metrics } from './scenario';
import { coldOf } from './scenarios/cold';
import { groupOf } from './scenarios/group';
import { idleOf } from './scenarios/idle';
import { inboxOf } from './scenarios/inbox';
import { syncOfConversations, syncOfEvents } from './scenarios/sync';

/** What a cost is held against, and at which sizes it is measured. */
interface Curve {
  /** Of its files. */
  readonly name: string;
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly sizes: readonly number[];
  readonly of: (size: number) => Case;
  /** What is drawn, by the name in the legend. */
  readonly lines: Readonly<Record<string, string>>;
}

const CURVES: readonly Curve[] = [
  {
    name: 'send-by-length',
    title: 'A send, by the length of the conversation',
    x: 'events in the conversation',
    y: 'median, ms',
    sizes: [10, 1_000, 10_000, 100_000, 1_000_000],
    of: coldOf,
    lines: { 'loaded and sent': 'load and send p50 ms', sent: 'send p50 ms' },
  },
  {
    name: 'send-by-members',
    title: 'A message to a group, everybody online',
    x: 'members',
    y: 'median, ms',
    sizes: [2, 10, 32, 100, 316, 1_000],
    of: groupOf,
    lines: {
      acknowledged: 'ack p50 ms',
      'first device': 'first device p50 ms',
      'last device': 'last device p50 ms',
    },
  },
  {
    name: 'sync-by-conversations',
    title: 'Sync of 200 events in one conversation',
    x: 'conversations that did not move',
    y: 'median, ms',
    sizes: [10, 100, 1_000, 9_999],
    of: syncOfConversations,
    lines: { sync: 'sync p50 ms' },
  },
  {
    name: 'sync-by-events',
    title: 'Sync of ten conversations',
    x: 'events missed',
    y: 'median, ms',
    sizes: [10, 100, 1_000, 10_000],
    of: syncOfEvents,
    lines: { sync: 'sync p50 ms' },
  },
  {
    name: 'inbox-by-conversations',
    title: 'The first 50 conversations of an inbox',
    x: 'conversations',
    y: 'median, ms',
    sizes: [10, 100, 1_000, 10_000],
    of: inboxOf,
    lines: {
      'REST, first screen': 'first screen p50 ms',
      'sync of a new device': 'sync of a new device p50 ms',
    },
  },
  {
    name: 'memory-by-sockets',
    title: 'Memory of idle sockets, one process',
    x: 'sockets',
    y: 'MB of Node beyond its own',
    sizes: [500, 1_000, 2_000, 5_000, 10_000],
    of: idleOf,
    lines: { 'at rest': 'MB for all sockets' },
  },
];

/** Kept beside the picture, which can be drawn again from it. */
interface Measured {
  readonly machine: Machine;
  readonly points: readonly { readonly size: number; readonly metrics: Metrics }[];
}

const FOLDER = 'docs/performance';

/**
 * Measures the curves whose names contain `--case`, and leaves figures and pictures in docs/performance; with
 * `--draw yes` the pictures alone, from the figures that are there.
 */
export async function drawCurves(
  contestant: Contestant,
  options: Options,
  say: (text: string) => void,
): Promise<void> {
  const folder = resolve(options.value('out') ?? FOLDER);
  mkdirSync(folder, { recursive: true });
  for (const curve of CURVES.filter(({ name }) => name.includes(options.value('case') ?? ''))) {
    const file = join(folder, `${curve.name}.json`);
    if (options.value('draw') !== 'yes') {
      const measured = await measure(contestant, curve, say);
      writeFileSync(file, `${JSON.stringify(measured, null, 2)}\n`);
    }
    const { machine, points } = JSON.parse(readFileSync(file, 'utf8')) as Measured;
    const lines = Object.entries(curve.lines).map(([name, metric]) => ({
      name,
      points: points.map(({ size, metrics }) => ({ x: size, y: metrics[metric] ?? 0 })),
    }));
    const subtitle = `${machine.cores} cores, load ${machine.load} before, ${machine.at.slice(0, 10)}`;
    writeFileSync(join(folder, `${curve.name}.svg`), await plot({ ...curve, subtitle, lines }));
    say(`${curve.name}.svg`);
  }
}

async function measure(contestant: Contestant, curve: Curve, say: (text: string) => void): Promise<Measured> {
  const machine = describeMachine();
  const points: Measured['points'][number][] = [];
  for (const size of curve.sizes) {
    const metrics = await contestant.run(curve.of(size));
    if (metrics === undefined) throw new Error(`nobody measures ${curve.name}`);
    points.push({ size, metrics });
    say(
      `${curve.name} ${size}: ${Object.values(curve.lines)
        .map((metric) => metrics[metric]?.toFixed(2))
        .join(' ')}`,
    );
  }
  return { machine, points };
}

import { Logger } from '@nestjs/common';
import { differenceIn, judgeSenders } from './judge';
import type { Mutant } from './mutants';
import { Random } from './random';
import type { Scenario } from './scenario';
import { Trace, type Violation } from './trace';
import { VirtualTime } from './virtual-time';
import { World } from './world';

const ORIGIN = Date.UTC(2026, 0, 1);
/** Far more than any scenario takes; whoever needs them spins. */
const STEPS_MAX = 400_000;
const LOOK_EVERY_MS = 250;
/** How long devices may take to be equal: a device that failed to connect often waits up to 30 s between attempts. */
export const CONVERGENCE_MS = 90_000;

export interface Verdict {
  readonly scenario: Scenario;
  /** The first promise that was broken; undefined: all were kept. */
  readonly violation: Violation | undefined;
  /** Of everything that happened: equal for equal runs. */
  readonly digest: string;
  readonly lines: readonly string[];
  /** From the end of the faults until all devices were equal to the log, in virtual milliseconds. */
  readonly convergedMs: number;
  readonly events: number;
}

let current: Trace | undefined;
const say = (level: string) => {
  return (message: unknown): void => {
    current?.note(`${level}  ${String(message).replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>')}`);
  };
};

/** Nodes complain to whom it concerns: an error in their log is a bug, or a broken promise they know of. */
function listenToNodes(): void {
  const note = say('nodes ');
  Logger.overrideLogger({
    log: () => undefined,
    debug: () => undefined,
    verbose: () => undefined,
    warn: note,
    error: (message: unknown, stack?: string) => {
      current?.broken('20 explicit errors', `a node reports: ${String(message)} ${stack ?? ''}`);
    },
  });
}

const unhandled = (error: unknown): void => {
  current?.broken('20 explicit errors', `nobody handled ${String(error)}`);
};

/** Runs one scenario to its end, or to the first broken promise. */
export async function simulate(
  scenario: Scenario,
  options: { readonly mutant?: Mutant; readonly keepsLines?: boolean } = {},
): Promise<Verdict> {
  const random = new Random(scenario.seed, 'process');
  const time = new VirtualTime(ORIGIN, () => random.next());
  const trace = new Trace(() => time.now - ORIGIN, options.keepsLines === true);
  listenToNodes();
  current = trace;
  process.on('unhandledRejection', unhandled);
  const undo = options.mutant?.patch?.();
  time.install();
  let events = 0;
  let convergedMs = 0;
  try {
    const world = new World(scenario, time, trace, options.mutant);
    world.begin();
    let isOver = false;
    const end = (): void => {
      isOver = true;
    };
    time.after(scenario.chaosMs + 1, () => {
      watchOver(world, end);
    });
    await time.run(() => isOver || trace.violations.length > 0, STEPS_MAX);
    convergedMs = time.now - ORIGIN - scenario.chaosMs;
    for (const chronicle of world.log.chronicles.values()) events += chronicle.events.length;
  } finally {
    await time.end();
    undo?.();
    process.off('unhandledRejection', unhandled);
    current = undefined;
  }
  const [violation] = trace.violations;
  return { scenario, violation, digest: trace.digest(), lines: trace.lines, convergedMs, events };
}

/** Ends the faults, and waits until two looks in a row find nothing different and nothing new. */
function watchOver(world: World, end: () => void): void {
  const { time, trace } = world;
  const deadline = time.now + CONVERGENCE_MS;
  let before = '';
  world.calm();
  const look = (): void => {
    world.lookAround();
    const difference = differenceIn(world);
    const heads = [...world.log.chronicles.values()].map(({ head }) => head).join();
    if (difference === undefined && heads === before) {
      judgeSenders(world);
      end();
      return;
    }
    before = heads;
    if (time.now < deadline) time.after(LOOK_EVERY_MS, look);
    else trace.broken('21 liveness', difference ?? 'the log does not come to rest');
  };
  time.after(LOOK_EVERY_MS, look);
}

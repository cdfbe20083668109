import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

/** The stages of a message on the main thread, each with the files whose work it is; the first that fits counts. */
const STAGES: readonly (readonly [stage: string, files: RegExp])[] = [
  ['WebSocket frames in', /node_modules\/ws\//],
  ['decode frame', /src\/gateway\/client-frame/],
  ['validate', /src\/(gateway\/frame-rules|protocol\/)|typebox/],
  ['socket writes', /src\/gateway\/(outbound-queue|text-frame|turn-flush)/],
  ['Nest', /node_modules\/@nestjs\/(websockets|cqrs|core)|node_modules\/iterare/],
  ['gateway', /src\/gateway\//],
  ['metrics', /src\/observability|prom-client/],
  ['command', /src\/application\/(commands|content-hash)/],
  ['hash chain', /src\/application\/audit-chain/],
  ['executor', /src\/application\//],
  ['receipts', /src\/delivery\/(receipts|gathered-cursors)/],
  ['feed and fan-out', /src\/delivery\//],
  ['event log', /embedded\/|src\/infrastructure\/event-log|node_modules\/lmdb|index\.cjs/],
  ['projection', /projections\//],
  ['Postgres driver', /src\/infrastructure\/postgres|node_modules\/pg/],
];
/** Work for somebody else: the stage is that of the caller. Deciding and evolving are told apart in the executor. */
const SHARED = /src\/(kernel|domain)\/|node_modules\/(immutable|uuid|lru-cache)|immutable\.js/;
const DECIDING = /src\/domain\//;
const STARTING = /^(Module\.|compileFunction|wrapSafe|node:internal\/modules)/;

/** Share of each stage in the busy time of the main thread, after the start; largest first. */
export type Stages = readonly (readonly [stage: string, share: number])[];

/** The main thread's profile in a folder: the largest, when there are several. */
export function stagesOf(folder: string): Stages {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  const [largest] = files
    .map((name) => join(folder, name))
    .sort((a, b) => statSync(b).size - statSync(a).size);
  if (largest === undefined) throw new Error(`there is no profile in ${folder}`);
  return shares(JSON.parse(readFileSync(largest, 'utf8')) as Profile);
}

function shares({ nodes, samples, timeDeltas }: Profile): Stages {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const stacks = new Map(nodes.map(({ id }) => [id, stageOf(stackOf(id, byId, parents))]));
  const times = new Map<string, number>();
  samples.forEach((sample, n) => {
    const stage = stacks.get(sample);
    if (stage !== undefined) times.set(stage, (times.get(stage) ?? 0) + (timeDeltas[n] ?? 0));
  });
  const all = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times].map(([stage, time]) => [stage, time / all] as const).sort(([, a], [, b]) => b - a);
}

/** From the leaf to the root. */
function stackOf(
  leaf: number,
  byId: ReadonlyMap<number, ProfileNode>,
  parents: ReadonlyMap<number, number>,
): readonly ProfileNode['callFrame'][] {
  const stack: ProfileNode['callFrame'][] = [];
  for (let id: number | undefined = leaf; id !== undefined; id = parents.get(id)) {
    const node = byId.get(id);
    if (node !== undefined) stack.push(node.callFrame);
  }
  return stack;
}

/** undefined: idle, or the start of the process. */
function stageOf(stack: readonly ProfileNode['callFrame'][]): string | undefined {
  const [leaf] = stack;
  if (leaf?.functionName === '(idle)') return undefined;
  if (leaf?.functionName === '(garbage collector)') return 'garbage collection';
  if (stack.some(({ functionName }) => STARTING.test(functionName))) return undefined;
  let isDeciding = false;
  for (const { url } of stack) {
    isDeciding ||= DECIDING.test(url);
    if (url === '' || SHARED.test(url)) continue;
    const found = STAGES.find(([, files]) => files.test(url))?.[0];
    if (found !== undefined) return found === 'executor' && isDeciding ? 'decide and evolve' : found;
  }
  return 'Node: sockets, timers, promises';
}

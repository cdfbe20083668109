import { Random } from './random';
import type { LogWeather } from './node-log';

interface Timed {
  /** Milliseconds after the beginning. */
  readonly at: number;
}

/** What people do. Users, devices and conversations by number; `pick` chooses among the messages a device knows. */
type Act =
  | { readonly kind: 'send'; readonly device: number; readonly conversation: number; readonly count: number }
  | { readonly kind: 'direct'; readonly device: number; readonly to: number }
  | {
      readonly kind: 'raw';
      readonly user: number;
      readonly conversation: number;
      readonly keys: readonly { readonly key: string; readonly body: string }[];
      readonly sockets: number;
    }
  | {
      readonly kind: 'edit' | 'delete' | 'react' | 'unreact';
      readonly device: number;
      readonly conversation: number;
      readonly pick: number;
    }
  | {
      readonly kind: 'read';
      readonly device: number;
      readonly conversation: number;
      /** One after the other, up to how many events before the head. */
      readonly picks: readonly number[];
    }
  | { readonly kind: 'add' | 'remove'; readonly conversation: number; readonly user: number }
  | { readonly kind: 'leave'; readonly conversation: number; readonly user: number }
  | { readonly kind: 'rename'; readonly conversation: number; readonly title: string }
  | { readonly kind: 'start'; readonly conversation: number }
  /** On the screen of this device; undefined: nothing is. */
  | { readonly kind: 'focus'; readonly device: number; readonly conversation: number | undefined };

/** What goes wrong, and for how long: a step brings its own end, so that a shorter scenario ends it, too. */
type Fault =
  | {
      readonly kind: 'killDevice';
      readonly device: number;
      readonly isSilent: boolean;
      readonly forMs: number;
    }
  | { readonly kind: 'reset'; readonly device: number }
  /** The line is reset, and the next one goes as it has opened: what is sent over it arrives later, or much later. */
  | { readonly kind: 'strand'; readonly device: number; readonly forMs: number }
  | { readonly kind: 'deviceClock'; readonly device: number; readonly byMs: number }
  | {
      readonly kind: 'block';
      readonly device: number;
      readonly way: 'up' | 'down' | 'both';
      readonly forMs: number;
    }
  | { readonly kind: 'stall'; readonly device: number; readonly forMs: number }
  | { readonly kind: 'killNode'; readonly node: number; readonly isSilent: boolean; readonly forMs: number }
  | { readonly kind: 'drainNode'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'cutLog'; readonly node: number; readonly forMs: number }
  | { readonly kind: 'projector'; readonly mode: 'stopped' | 'down' | 'crashed'; readonly forMs: number }
  | { readonly kind: 'clock'; readonly node: number; readonly byMs: number };

export type Step = Timed & (Act | Fault);
type ActKind = Act['kind'];
type FaultKind = Fault['kind'];

interface GroupPlan {
  readonly owner: number;
  readonly members: readonly number[];
  readonly isShared: boolean;
  /** Members beside those who have devices: of a group of more than 32, or of more than 1,000, other rules hold. */
  readonly silent: number;
}

/** A whole scenario: what a seed stands for, and what a shrunk trace is made of. */
export interface Scenario {
  readonly seed: number;
  readonly users: number;
  readonly nodes: number;
  /** Whose they are, and how many events of a conversation they take in a sync. */
  readonly devices: readonly { readonly user: number; readonly syncWindow: number | undefined }[];
  readonly groups: readonly GroupPlan[];
  readonly heartbeatMs: number;
  readonly networkLatencyMs: number;
  readonly projectionLagMs: number;
  readonly projectorCrashes: number;
  readonly weather: LogWeather;
  readonly chaosMs: number;
  readonly steps: readonly Step[];
}

const ACTS: Readonly<Record<ActKind, number>> = {
  send: 12,
  direct: 1,
  raw: 4,
  edit: 2,
  delete: 1,
  react: 2,
  unreact: 1,
  read: 3,
  add: 3,
  remove: 3,
  leave: 1,
  rename: 1,
  start: 1,
  focus: 2,
};

const FAULTS: Readonly<Record<FaultKind, number>> = {
  killDevice: 3,
  reset: 4,
  strand: 2,
  deviceClock: 1,
  block: 3,
  stall: 2,
  killNode: 3,
  drainNode: 1,
  cutLog: 2,
  projector: 2,
  clock: 1,
};

const HOUR_MS = 3_600_000;

/** The scenario of a seed. Every seed leaves most faults out, so that each one is also seen alone. */
export function scenarioOf(seed: number): Scenario {
  const random = new Random(seed, 'scenario');
  const users = random.between(2, 5);
  const nodes = random.between(1, 3);
  const devices = Array.from({ length: random.between(users, users + 2) }, (_, n) => ({
    user: n < users ? n : random.below(users),
    syncWindow: random.chance(0.15) ? random.between(3, 12) : undefined,
  }));
  const silent = silentOf(random);
  const groups = Array.from({ length: random.between(1, 3) }, () => groupOf(random, users, silent));
  const chaosMs = random.between(500, 20_000);
  const size: Size = { users, nodes, devices: devices.length, groups: groups.length, chaosMs };
  const steps = [...actsOf(random, size), ...faultsOf(random, size)].sort((a, b) => a.at - b.at);
  return {
    seed,
    users,
    nodes,
    devices,
    groups,
    heartbeatMs: random.pick([3_000, 25_000]),
    networkLatencyMs: random.pick([1, 10, 100, 400]),
    projectionLagMs: random.pick([2, 20, 200, 2_000]),
    projectorCrashes: random.chance(0.3) ? 0.3 : 0,
    weather: weatherOf(random),
    chaosMs,
    steps,
  };
}

interface Size {
  readonly users: number;
  readonly nodes: number;
  readonly devices: number;
  readonly groups: number;
  readonly chaosMs: number;
}

/** Mostly nobody; sometimes as many as make a group large or very large, about the limit, so that it is crossed. */
function silentOf(random: Random): number {
  const kind = random.next();
  if (kind < 0.8) return 0;
  return kind < 0.97 ? random.between(28, 36) : random.between(996, 999);
}

function groupOf(random: Random, users: number, silent: number): GroupPlan {
  const owner = random.below(users);
  const members = Array.from({ length: users }, (_, user) => user).filter(() => random.chance(0.7));
  return { owner, members, isShared: random.chance(0.3), silent };
}

function weatherOf(random: Random): LogWeather {
  const maybe = (most: number): number => (random.chance(0.3) ? random.next() * most : 0);
  return {
    latencyMs: random.pick([1, 5, 50, 300]),
    lostAck: maybe(0.3),
    lost: maybe(0.2),
    late: maybe(0.3),
    unavailable: maybe(0.2),
    readFails: maybe(0.1),
    breaks: maybe(0.1),
    repeats: maybe(1),
    stalls: maybe(0.1),
    skips: random.chance(0.15) ? 0.1 : 0,
  };
}

/** Some kinds are left out of a scenario altogether. */
function kindsOf<Kind extends string>(
  random: Random,
  weights: Readonly<Record<Kind, number>>,
  kept: number,
): Partial<Record<Kind, number>> {
  const entries = Object.entries(weights) as [Kind, number][];
  const some = entries.filter(() => random.chance(kept));
  return Object.fromEntries(some) as Partial<Record<Kind, number>>;
}

function actsOf(random: Random, size: Size): Step[] {
  const kinds = { ...kindsOf(random, ACTS, 0.7), send: ACTS.send };
  const count = random.between(3, 40);
  const times = timesOf(random, count, size.chaosMs);
  return times.map((at, n) => ({ at, ...actOf(random, random.weighted(kinds), size, n) }));
}

function actOf(random: Random, kind: ActKind, size: Size, n: number): Act {
  const device = random.below(size.devices);
  const user = random.below(size.users);
  const conversation = random.below(size.groups);
  switch (kind) {
    case 'send':
      return { kind, device, conversation, count: random.chance(0.2) ? random.between(2, 8) : 1 };
    case 'direct':
      return { kind, device, to: user };
    case 'raw':
      return {
        kind,
        user,
        conversation,
        // Few keys and fewer bodies: most are used again, some of them for something else.
        keys: Array.from({ length: random.between(1, 4) }, () => ({
          key: `raw-${random.below(6)}`,
          body: `raw body ${random.chance(0.8) ? 0 : 1}`,
        })),
        sockets: random.between(1, 3),
      };
    case 'edit':
    case 'delete':
    case 'react':
    case 'unreact':
      return { kind, device, conversation, pick: random.below(6) };
    case 'read':
      return {
        kind,
        device,
        conversation,
        picks: Array.from({ length: random.between(1, 3) }, () => random.below(6)),
      };
    case 'add':
    case 'remove':
    case 'leave':
      return { kind, conversation, user };
    case 'rename':
      return { kind, conversation, title: `title ${n}` };
    case 'start':
      return { kind, conversation };
    case 'focus':
      return { kind, device, conversation: random.chance(0.8) ? conversation : undefined };
  }
}

function faultsOf(random: Random, size: Size): Step[] {
  const kinds = kindsOf(random, FAULTS, 0.4);
  if (Object.keys(kinds).length === 0) return [];
  const times = timesOf(random, random.below(10), size.chaosMs);
  return times.map((at) => ({ at, ...faultOf(random, random.weighted(kinds), size) }));
}

function faultOf(random: Random, kind: FaultKind, size: Size): Fault {
  const device = random.below(size.devices);
  const node = random.below(size.nodes);
  const forMs = random.between(1, random.pick([50, 1_000, 15_000]));
  const isSilent = random.chance(0.3);
  switch (kind) {
    case 'killDevice':
      return { kind, device, isSilent, forMs };
    case 'reset':
      return { kind, device };
    case 'strand':
      return { kind, device, forMs };
    case 'deviceClock':
      return { kind, device, byMs: random.pick([-HOUR_MS, -5_000, 5_000, HOUR_MS]) };
    case 'block':
      return { kind, device, way: random.pick(['up', 'down', 'both']), forMs };
    case 'stall':
      return { kind, device, forMs };
    case 'killNode':
      return { kind, node, isSilent, forMs };
    case 'drainNode':
    case 'cutLog':
      return { kind, node, forMs };
    case 'projector':
      return { kind, mode: random.pick(['stopped', 'down', 'crashed']), forMs };
    case 'clock':
      return { kind, node, byMs: random.pick([-HOUR_MS, -5_000, 5_000, HOUR_MS]) };
  }
}

/** Some gathered in bursts, the others anywhere. */
function timesOf(random: Random, count: number, chaosMs: number): number[] {
  let at = 0;
  return Array.from({ length: count }, () => {
    at = random.chance(0.5) ? Math.min(chaosMs, at + random.below(30)) : random.below(chaosMs);
    return at;
  });
}

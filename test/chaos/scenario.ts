import type { Crowd } from './crowd/crowd';
import type { Environment } from './world/program';
import type { Topology, World } from './world/world';

/** What a scenario plays on. */
export interface Stage {
  readonly world: World;
  readonly crowd: Crowd;
  readonly random: () => number;
  /** `short`: as little as shows the fault at all; `long`: as FAULTS.md has it. */
  readonly form: 'short' | 'long';
  /** Waits so long, or somewhere in between. */
  readonly pause: (fromMs: number, toMs?: number) => Promise<void>;
  /** Waits until so many more messages are acknowledged than there are now. */
  readonly acknowledged: (more: number) => Promise<void>;
  /** Done when the crowd has settled and was judged. */
  readonly atTheEnd: (closer: () => Promise<void>) => void;
}

/** A named misfortune. Afterwards everything is healed, settles, and is judged. */
export interface Scenario {
  readonly name: string;
  /** One sentence for `--list`. */
  readonly what: string;
  readonly topology: Topology;
  /** Settings of the nodes that it needs. */
  readonly environment?: Environment;
  readonly wrapper?: readonly string[];
  /** Messages a second from the whole crowd; 0: the scenario talks by itself. Default 40. */
  readonly perSecond?: number;
  /** Of a fleet: processes with the role `relay`, to which any event is enough to relay; default 0. */
  readonly relays?: number;
  readonly people?: number;
  readonly rooms?: number;
  play(stage: Stage): Promise<void>;
}

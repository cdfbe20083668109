import type { Server, ServerSetup } from './load/server';
import type { XmppPeer } from './peers/xmpp';
import type { Target } from './load/target';

/** What one run measured, by name with unit, in the order of the report. */
export type Metrics = Readonly<Record<string, number>>;

export interface Surroundings {
  /** A fraction of the time and size, to see that everything works. */
  readonly quick: boolean;
  /** Starts what is measured in this run, on data of its own; it is stopped when the run is over. */
  readonly start: () => Promise<Target>;
  /** The same, for what only Parley has. */
  readonly startServer: (setup?: ServerSetup) => Promise<Server>;
  /** `npm run bench -- <name> --<option> value`. */
  readonly option: (name: string) => string | undefined;
}

/** One thing that is measured; a scenario has one for each point of its curve. */
export interface Case {
  readonly name: string;
  readonly run: (surroundings: Surroundings) => Promise<Metrics>;
  /** Floors take part, too. */
  readonly hasFloor?: boolean;
  /** The same over XMPP, for a peer that speaks it. */
  readonly runXmpp?: (peer: XmppPeer, surroundings: Surroundings) => Promise<Metrics>;
}

export interface Scenario {
  readonly name: string;
  /** What it tells, in a sentence. */
  readonly about: string;
  readonly cases: readonly Case[];
}

/** What a case needs is not on this machine; the message says what to do. */
export class MissingInput extends Error {
  override readonly name = 'MissingInput';
}

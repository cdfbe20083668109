import type { RecordedEvent } from '../../engine/record';

/** What a projection writes: an event of its own, or a link to the one that it was given. */
export interface Output {
  readonly stream: string;
  readonly type: string;
  readonly isJson: boolean;
  readonly data: string;
  /** JSON of an object, beside what every output says of where it comes from. */
  readonly metadata?: string;
}

/** What some events made a projection write, in their order; those that it does not want are left out. */
export interface Handled {
  readonly outputs: readonly { readonly event: RecordedEvent; readonly made: readonly Output[] }[];
  /** Why it came no further. */
  readonly fault: string | undefined;
}

/** What a projection does with events. All throw a {@link ProjectionFault} when it has ended. */
export interface Handler {
  handle(events: readonly RecordedEvent[]): Promise<Handled>;
  /** JSON of everything that it has to remember. */
  states(): Promise<string>;
  /** JSON of one partition's state; undefined: it has none. */
  stateOf(partition: string): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Why a projection cannot go on; an operator sees it in its status. */
export class ProjectionFault extends Error {
  override readonly name = 'ProjectionFault';
}

/** As it is stored, in the stream of its own. */
export interface Definition {
  readonly name: string;
  /** Of a standard one, what it is told by; of others their program. */
  readonly query: string;
  readonly enabled: boolean;
  readonly emitEnabled: boolean;
  /** Changes when it begins anew, so that what it writes then is no repetition of what it wrote before. */
  readonly epoch: number;
  /** Number of its changes. */
  readonly version: number;
  readonly deleted: boolean;
}

export const definitionStreamOf = (name: string): string => `$projections-${name}`;
export const projectionCheckpointStreamOf = (name: string): string => `$projections-${name}-checkpoint`;

/** @returns undefined: somebody else wrote it, in a way that is not understood */
export function definitionOf(name: string, json: unknown): Definition | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { query, enabled, emitEnabled, epoch, version, deleted } = json as Readonly<Record<string, unknown>>;
  if (typeof query !== 'string' || !Number.isSafeInteger(epoch) || !Number.isSafeInteger(version)) {
    return undefined;
  }
  return {
    name,
    query,
    enabled: enabled === true,
    emitEnabled: emitEnabled === true,
    epoch: Number(epoch),
    version: Number(version),
    deleted: deleted === true,
  };
}

import type { Person } from './people';

/** A running server that speaks the protocol, or as much of it as a direct message needs. */
export interface Target {
  readonly port: number;
  /** Of the process whose CPU and memory count, with all that it started. */
  readonly pid: number;
  /** New accounts, with tokens. */
  people(count: number): Promise<readonly Person[]>;
  stop(): Promise<void>;
}

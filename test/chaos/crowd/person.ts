import type { Journal } from '../journal';

/** Somebody with an account. The token may be exchanged for another one while devices run. */
export interface Person {
  readonly id: string;
  readonly name: string;
  token: string;
  /** Signs in again; several devices that ask at once share one answer. */
  renew(): Promise<void>;
}

/** A device that writes down what happens to it, whatever it is made of. */
export interface ChaosDevice {
  readonly person: Person;
  readonly journal: Journal;
  /** Messages without an outcome. */
  readonly waiting: number;
  start(): void;
  stop(): Promise<void>;
  say(conversationId: string, body: string): void;
  /** Is live, in sync, and has all up to this seq. */
  has(conversationId: string, seq: number): boolean;
}

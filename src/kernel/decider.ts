/**
 * The write side of an aggregate: pure functions. `decide` never throws for what a caller did wrong; it
 * returns a refusal. `evolve` is total over the events.
 */
export interface Decider<Command, State, Event, Decision> {
  readonly initial: State;
  decide(command: Command, state: State): Decision;
  evolve(state: State, event: Event): State;
}

/** What wants to write once per turn of the event loop. Never throws. */
export interface Flushable {
  flush(): void;
}

let waiting: Flushable[] = [];

function flushAll(): void {
  const now = waiting;
  waiting = [];
  for (const one of now) one.flush();
}

/**
 * Flushes `one` at the end of this turn of the event loop: an acknowledgement, the push of the same message and
 * whatever else the turn has for a socket leave in one write, and one system call is what they cost.
 */
export function flushAfterTurn(one: Flushable): void {
  if (waiting.push(one) === 1) setImmediate(flushAll);
}

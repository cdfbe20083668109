import type { Millis } from './ids';

/** The only source of time outside the edges' timers; simulated in tests. */
export abstract class Clock {
  abstract now(): Millis;
}

export class SystemClock extends Clock {
  now(): Millis {
    return Date.now() as Millis;
  }
}

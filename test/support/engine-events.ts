import { randomUUID } from 'node:crypto';
import type { EngineEvent } from '../../embedded/engine/record';
import { Clock } from '../../src/kernel/clock';
import { asMillis, type Millis } from '../../src/kernel/ids';

/** A clock that stands until it is set. */
export class SteppedClock extends Clock {
  constructor(public time: number) {
    super();
  }
  now(): Millis {
    return asMillis(this.time);
  }
}

export const newEvent = (type = 'Tested', data = '{}'): EngineEvent => ({
  id: randomUUID(),
  type,
  isJson: true,
  data,
  metadata: '',
});

export const newEvents = (count: number): EngineEvent[] => Array.from({ length: count }, () => newEvent());

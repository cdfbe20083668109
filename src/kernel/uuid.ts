import { randomUUID } from 'node:crypto';
import { v5 } from 'uuid';
import type { Millis } from './ids';

const V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

const COUNTER_MAX = 0xfff;
/** The counter of each millisecond begins in its lower half, so that it seldom runs over. */
const COUNTER_START_MASK = 0x7ff;

let bornAt = 0;
let counter = 0;
/** Time and version of the ids of this millisecond, up to their counter. */
let prefix = '';

function beginMillisecond(at: number, start: number): void {
  const time = at.toString(16).padStart(12, '0');
  prefix = `${time.slice(0, 8)}-${time.slice(8)}-7`;
  bornAt = at;
  counter = start;
}

/**
 * A new UUIDv7 (RFC 9562): sorts by the time of its making, and those of one process in the order of their making (a
 * counter in `rand_a`, section 6.2, method 1). Every command makes two, so they are cut out of the platform's random
 * ids, which come from a pool, instead of being put together byte by byte.
 */
export function uuidv7(): string {
  const random = randomUUID();
  const now = Date.now();
  if (now > bornAt) beginMillisecond(now, parseInt(random.slice(15, 18), 16) & COUNTER_START_MASK);
  else if (++counter > COUNTER_MAX) beginMillisecond(bornAt + 1, 0);
  return prefix + counter.toString(16).padStart(3, '0') + random.slice(18);
}

/** The UUIDv5 (RFC 9562) of `name` under `namespace`: the same two always give the same id. */
export const uuidv5 = (name: string, namespace: string): string => v5(name, namespace);

/** The birth time that a UUIDv7 carries; undefined for any other text. */
export function birthOf(id: string): Millis | undefined {
  const match = V7.exec(id);
  return match === null ? undefined : (parseInt(`${match[1] ?? ''}${match[2] ?? ''}`, 16) as Millis);
}

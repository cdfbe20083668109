export const RECONNECT_BASE_MS = 250;
/** Also how long, on top of everything, a device stays behind after an outage that was longer. */
export const RECONNECT_CAP_MS = 8_000;

/**
 * Full jitter: anything from 0 to the exponential bound, so that devices cut off at once do not come back at
 * once. `attempt` counts from 0; `random` is from [0, 1).
 */
export function fullJitterMs(attempt: number, random: () => number): number {
  return Math.floor(random() * Math.min(RECONNECT_CAP_MS, RECONNECT_BASE_MS * 2 ** Math.min(attempt, 30)));
}

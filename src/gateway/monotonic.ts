/** Milliseconds since some fixed moment, by a clock that nobody sets: for heartbeats, time-outs and rates. */
export const monotonicNow = (): number => performance.now();

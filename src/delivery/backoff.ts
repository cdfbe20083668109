import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Full jitter: anything up to `baseMs` doubled by every attempt (from 0), `maxMs` at most. */
export const backoffMs = (attempt: number, { baseMs, maxMs }: Backoff): number =>
  Math.random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));

/** Ends waiting; any number may wait for it at once. */
export function stopSignal(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Resolves after `ms`, or at once when `signal` aborts; holds no process open. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}

/** Ends when `signal` aborts. */
export async function* nothingUntil(signal: AbortSignal): AsyncGenerator<never, void, undefined> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
}

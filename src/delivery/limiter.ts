/**
 * At most `max` pieces of work at once; the others wait their turn, first come, first served. Keeps a rush of
 * devices from turning into a rush of queries that all time out together.
 */
export class Limiter {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(readonly max: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.running >= this.max) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.running++;
    try {
      return await work();
    } finally {
      // The slot is handed on, not freed and taken again: a newcomer cannot overtake those who wait.
      const next = this.waiting.shift();
      if (next === undefined) this.running--;
      else next();
    }
  }
}

/**
 * `work` for every item, at most `max` at once, the results in the order of the items. Nothing is begun ahead of
 * a consumer that has stopped taking: at most `max` results wait for it.
 */
export async function* mapInOrder<T, R>(
  items: readonly T[],
  max: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const begun: Promise<R>[] = [];
  const begin = (item: T): void => {
    const result = work(item);
    // A consumer that leaves early never awaits the rest: their failures must not end the process.
    result.catch(() => undefined);
    begun.push(result);
  };
  let next = 0;
  while (next < items.length && begun.length < max) begin(items[next++] as T);
  for (;;) {
    const first = begun.shift();
    if (first === undefined) return;
    yield await first;
    if (next < items.length) begin(items[next++] as T);
  }
}

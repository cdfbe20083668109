interface Pace {
  timer: NodeJS.Timeout;
  /** What has come since; undefined: nothing. */
  next: (() => void) | undefined;
}

/**
 * At most one piece of work per key and interval: the first at once, of those that come within the interval only the
 * last, at its end. For hints: what does not fit is left out, and the last word is always said.
 */
export class Paced<Key> {
  private readonly paces = new Map<Key, Pace>();

  /** @param max keys at once; work for more is dropped */
  constructor(
    private readonly intervalMs: number,
    private readonly max: number,
  ) {}

  get size(): number {
    return this.paces.size;
  }

  run(key: Key, work: () => void): void {
    const pace = this.paces.get(key);
    if (pace !== undefined) pace.next = work;
    else if (this.paces.size < this.max) {
      this.paces.set(key, { timer: this.timerOf(key), next: undefined });
      work();
    }
  }

  /** Forgets what waits. */
  stop(): void {
    for (const { timer } of this.paces.values()) clearTimeout(timer);
    this.paces.clear();
  }

  private timerOf(key: Key): NodeJS.Timeout {
    return setTimeout(() => {
      this.endInterval(key);
    }, this.intervalMs).unref();
  }

  private endInterval(key: Key): void {
    const pace = this.paces.get(key);
    const next = pace?.next;
    if (pace === undefined || next === undefined) {
      this.paces.delete(key);
      return;
    }
    pace.next = undefined;
    pace.timer = this.timerOf(key);
    next();
  }
}

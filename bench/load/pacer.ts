/** Sends at fixed times, whatever becomes of what was sent before: an open loop. */
export class Pacer {
  private timer: NodeJS.Timeout | undefined;
  private next = 0;
  private readonly intervalMs: number;

  /** @param send gets the time at which it was to happen, on the clock of `performance.now()` */
  constructor(
    ratePerSecond: number,
    private readonly send: (intendedAt: number) => void,
  ) {
    this.intervalMs = 1_000 / ratePerSecond;
  }

  start(): void {
    this.next = performance.now() + this.intervalMs;
    this.tick();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private tick(): void {
    const now = performance.now();
    for (; this.next <= now; this.next += this.intervalMs) this.send(this.next);
    this.timer = setTimeout(() => {
      this.tick();
    }, 1);
  }
}

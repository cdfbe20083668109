import { SingleBar } from 'cli-progress';

/** Lines of a bar that nobody watches on a terminal, in a log file for instance. */
const LOG_EVERY_MS = 5_000;
const RATE_OVER_MS = 1_000;

/** How far, how fast, how long still: a bar on a terminal, a line now and then elsewhere. */
export class ProgressBar {
  private readonly bar: SingleBar;
  private readonly startedAt = Date.now();

  /** @param total in whatever `at` counts */
  constructor(what: string, total: number) {
    this.bar = new SingleBar({
      format: `${what} [{bar}] {percentage}% | {events} events | {rate}/s | {eta_formatted} left`,
      stream: process.stderr,
      hideCursor: true,
      noTTYOutput: true,
      notTTYSchedule: LOG_EVERY_MS,
    });
    this.bar.start(Math.max(total, 1), 0, { events: 0, rate: 0 });
  }

  at(done: number, events: number): void {
    const tookMs = Math.max(Date.now() - this.startedAt, RATE_OVER_MS);
    const rate = Math.round((events * 1_000) / tookMs);
    this.bar.update(Math.min(done, this.bar.getTotal()), { events, rate });
  }

  /** @param whole whether everything was done */
  end(whole: boolean): void {
    if (whole) this.bar.update(this.bar.getTotal());
    this.bar.stop();
  }
}

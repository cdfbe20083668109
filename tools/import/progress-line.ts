const BAR_WIDTH = 30;
const REDRAW_MS = 100;
const REPORT_MS = 5_000;

/** Seconds as people read them. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
}

/**
 * One line on stderr that is drawn over itself on a terminal, and told anew now and then elsewhere: how many,
 * how fast, how long still.
 */
export class ProgressLine {
  private done = 0;
  private total = 0;
  private startedAt = Date.now();
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly unit: string,
    private readonly out: NodeJS.WriteStream = process.stderr,
  ) {}

  start(total: number): void {
    this.total = total;
    this.startedAt = Date.now();
    this.timer = setInterval(
      () => {
        this.draw();
      },
      this.out.isTTY ? REDRAW_MS : REPORT_MS,
    );
  }

  tick(count = 1): void {
    this.done += count;
  }

  stop(): void {
    if (this.timer === undefined) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.draw();
    if (this.out.isTTY) this.out.write('\n');
  }

  text(elapsedMs: number): string {
    const share = this.total === 0 ? 1 : Math.min(1, this.done / this.total);
    const filled = Math.round(share * BAR_WIDTH);
    const perSecond = (this.done / Math.max(1, elapsedMs)) * 1_000;
    const left = duration((this.total - this.done) / perSecond);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    return `${bar} ${this.done}/${this.total} ${this.unit} · ${Math.round(perSecond)}/s · ${left} left`;
  }

  private draw(): void {
    const text = this.text(Date.now() - this.startedAt);
    this.out.write(this.out.isTTY ? `\r${text}\u001b[K` : `${text}\n`);
  }
}

import type { RebuildProgress } from '../../projections/rebuild/rebuild';
import type { Position } from '../../src/kernel/position';
import { duration } from '../import/progress-line';

const BAR_WIDTH = 30;
const REDRAW_MS = 200;
/** Before that, how long still is anybody's guess. */
const TOLD_FROM = 0.02;

/** How far a rebuild is, drawn over itself on a terminal, a line now and then elsewhere. */
export class RebuildLine {
  private readonly startedAt = performance.now();
  private shownAt = -Infinity;

  constructor(
    private readonly name: string,
    private readonly out: NodeJS.WriteStream = process.stderr,
  ) {}

  show(progress: RebuildProgress): void {
    const now = performance.now();
    if (now - this.shownAt < (this.out.isTTY ? REDRAW_MS : REDRAW_MS * 10)) return;
    this.shownAt = now;
    const text = this.text(progress, (now - this.startedAt) / 1_000);
    this.out.write(this.out.isTTY ? `\r${text}\u001b[K` : `${text}\n`);
  }

  end(): void {
    if (this.out.isTTY) this.out.write('\n');
  }

  /** The share is by position: how many events there are, nobody has counted. */
  text({ events, position, goal }: RebuildProgress, seconds: number): string {
    const all = lengthTo(goal);
    const share = all <= 0 ? 1 : Math.min(1, lengthTo(position) / all);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    const left = duration(share < TOLD_FROM ? Infinity : (seconds / share) * (1 - share));
    const perSecond = Math.round(events / Math.max(seconds, 1e-3));
    return `${this.name} ${bar} ${Math.floor(share * 100)} % · ${events} events · ${perSecond}/s · ${left} left`;
  }
}

/** From the beginnings of all shards; EventStoreDB counts bytes, the embedded engine events. */
const lengthTo = ({ commit, others = [] }: Position): number =>
  others.reduce((sum, place) => sum + Number(place.commit) + 1, Number(commit) + 1);

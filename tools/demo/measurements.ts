import { build, type Histogram } from 'hdr-histogram-js';

const MICROSECONDS = 1_000;
const HIGHEST_TRACKABLE_US = 600_000_000;

/** What the table shows; latencies from the call of `send` to the event in the receiver's handler. */
export class Measurements {
  messages = 0;
  deliveries = 0;
  checks = 0;
  disagreements = 0;
  readonly failures: string[] = [];
  private readonly latency: Histogram = build({
    highestTrackableValue: HIGHEST_TRACKABLE_US,
    numberOfSignificantValueDigits: 3,
  });
  /** Key → when it was sent by a device that was online; one demo's messages, so it needs no end. */
  private readonly sentAt = new Map<string, number>();

  sent(key: string, online: boolean): void {
    this.messages += 1;
    if (online) this.sentAt.set(key, performance.now());
  }

  /** Only live deliveries are timed: a device that was away when it was said has waited for itself. */
  delivered(key: string, receiverLiveSince: number | undefined): void {
    this.deliveries += 1;
    const sentAt = this.sentAt.get(key);
    if (sentAt === undefined || receiverLiveSince === undefined || receiverLiveSince > sentAt) return;
    this.latency.recordValue(Math.max(1, Math.round((performance.now() - sentAt) * MICROSECONDS)));
  }

  failed(what: string): void {
    if (this.failures.length < 20) this.failures.push(what);
  }

  /** Milliseconds. */
  percentile(p: number): number {
    return this.latency.totalCount === 0 ? 0 : this.latency.getValueAtPercentile(p) / MICROSECONDS;
  }

  get timed(): number {
    return this.latency.totalCount;
  }
}

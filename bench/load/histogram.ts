import { build, type Histogram } from 'hdr-histogram-js';

const MICROSECONDS_MAX = 120_000_000;

/** Latencies, kept in microseconds to three digits, told in milliseconds. */
export class Latencies {
  private readonly histogram: Histogram = build({
    bitBucketSize: 32,
    autoResize: false,
    lowestDiscernibleValue: 1,
    highestTrackableValue: MICROSECONDS_MAX,
    numberOfSignificantValueDigits: 3,
  });

  /** @param ms 120 s at most; what is longer counts as that */
  add(ms: number): void {
    this.histogram.recordValue(Math.min(MICROSECONDS_MAX, Math.max(1, Math.round(ms * 1_000))));
  }

  get count(): number {
    return this.histogram.totalCount;
  }

  /** In milliseconds; 0 when nothing was added. */
  at(percentile: number): number {
    return this.count === 0 ? 0 : this.histogram.getValueAtPercentile(percentile) / 1_000;
  }

  get max(): number {
    return this.count === 0 ? 0 : this.histogram.maxValue / 1_000;
  }

  /** As metrics of a report, each named `${name} <percentile> ms`. */
  metrics(name: string): Record<string, number> {
    return {
      [`${name} p50 ms`]: this.at(50),
      [`${name} p95 ms`]: this.at(95),
      [`${name} p99 ms`]: this.at(99),
      [`${name} max ms`]: this.max,
    };
  }
}

/** Times of the last so many messages of one consumer. */
export const MEASUREMENTS_MAX = 1_000;

export interface Observed {
  readonly key: string;
  readonly value: number;
}

const SHARES: readonly (readonly [string, number])[] = [
  ['Fastest', 0],
  ['Quintile 1', 0.2],
  ['Quintile 2', 0.4],
  ['Median', 0.5],
  ['Quintile 3', 0.6],
  ['Quintile 4', 0.8],
  ['90%', 0.9],
  ['95%', 0.95],
  ['99%', 0.99],
  ['99.5%', 0.995],
  ['99.9%', 0.999],
  ['Quintile 5', 1],
  ['Highest', 1],
];

/** How long a consumer has taken from getting a message to settling it, in whole milliseconds. */
export class Measurements {
  private readonly times: number[] = [];
  private next = 0;

  add(ms: number): void {
    this.times[this.next] = ms;
    this.next = (this.next + 1) % MEASUREMENTS_MAX;
  }

  observed(): readonly Observed[] {
    if (this.times.length === 0) return [];
    const sorted = [...this.times].sort((a, b) => a - b);
    const mean = sorted.reduce((sum, time) => sum + time, 0) / sorted.length;
    const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] as number;
    return [
      { key: 'Mean', value: Math.round(mean) },
      ...SHARES.map(([key, share]) => ({ key, value: Math.round(at(share)) })),
    ];
  }
}

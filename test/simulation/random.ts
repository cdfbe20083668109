/** Small, fast and the same everywhere (sfc32): a scenario is nothing but its seed. */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** `stream` names one use of the seed: draws of one stream do not shift those of another. */
  constructor(seed: number, stream = '') {
    let hash = seed >>> 0 || 0x9e3779b9;
    for (let n = 0; n < stream.length; n++) hash = Math.imul(hash ^ stream.charCodeAt(n), 0x01000193) >>> 0;
    this.a = hash;
    this.b = Math.imul(hash, 0x85ebca6b) ^ 0x9e3779b9;
    this.c = Math.imul(hash, 0xc2b2ae35) ^ 0x7f4a7c15;
    for (let n = 0; n < 12; n++) this.next();
  }

  /** From [0, 1). */
  next(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum;
    return (sum >>> 0) / 0x1_0000_0000;
  }

  /** From 0 to `max - 1`. */
  below(max: number): number {
    return Math.floor(this.next() * max);
  }

  /** Both ends included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('nothing to pick from');
    return items[this.below(items.length)] as T;
  }

  /** One of the keys, as often as its weight says. */
  weighted<Key extends string>(weights: Readonly<Partial<Record<Key, number>>>): Key {
    const entries = Object.entries(weights) as [Key, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return (entries[entries.length - 1] as [Key, number])[0];
  }

  /** Mostly about `typical`, now and then ten times as much: delays have long tails. */
  delayMs(typical: number): number {
    return this.next() * typical * (this.chance(0.05) ? 10 : 1);
  }
}

import { List, Map } from 'immutable';

/** What {@link BoundedMap.set} did: the map afterwards, and the entry that had to make room. */
export interface BoundedSet<K, V> {
  readonly map: BoundedMap<K, V>;
  readonly evicted: readonly [K, V] | undefined;
}

/**
 * A persistent map that never holds more than `max` entries: the one that came in first goes out first.
 * Setting a known key keeps its place in the queue, so that every change costs O(log n), whatever is busy.
 */
export class BoundedMap<K, V> {
  private constructor(
    private readonly values: Map<K, V>,
    private readonly order: List<K>,
    readonly max: number,
  ) {}

  static empty<K, V>(max: number): BoundedMap<K, V> {
    return new BoundedMap<K, V>(Map(), List(), max);
  }

  /** `entries` oldest first; when there are more than `max`, the newest stay. */
  static of<K, V>(max: number, entries: Iterable<readonly [K, V]>): BoundedMap<K, V> {
    let map = BoundedMap.empty<K, V>(max);
    for (const [key, value] of entries) map = map.set(key, value).map;
    return map;
  }

  get size(): number {
    return this.values.size;
  }

  get(key: K): V | undefined {
    return this.values.get(key);
  }

  has(key: K): boolean {
    return this.values.has(key);
  }

  set(key: K, value: V): BoundedSet<K, V> {
    const values = this.values.set(key, value);
    if (this.values.has(key)) {
      return { map: new BoundedMap(values, this.order, this.max), evicted: undefined };
    }
    const order = this.order.push(key);
    if (order.size <= this.max) return { map: new BoundedMap(values, order, this.max), evicted: undefined };
    const oldest = order.first() as K;
    return {
      map: new BoundedMap(values.delete(oldest), order.shift(), this.max),
      evicted: [oldest, values.get(oldest) as V],
    };
  }

  /** Oldest first. */
  entries(): readonly (readonly [K, V])[] {
    return this.order.toArray().map((key) => [key, this.values.get(key) as V] as const);
  }
}

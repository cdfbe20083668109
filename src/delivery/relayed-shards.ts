import { furthest, hasPassed, ofShard, placeIn, shardOf, type Position } from '../kernel/position';

/** Places of one shard. */
interface Stretch {
  readonly from: Position;
  to: Position;
}

/** One time at which a shard was left. */
type Leaving = symbol;

/**
 * Which shards a relay follows for this node, and what of them was brought by relays: whoever looks after what the
 * node has taken itself leaves that to the relays, which look after themselves.
 */
export class RelayedShards {
  private readonly left = new Map<number, Leaving>();
  /** By shard: from where the first relay began since {@link past} last came by, to where the last one has come. */
  private readonly brought: (Stretch | undefined)[] = [];

  constructor(private readonly shards: number) {}

  /** The node's own shards; undefined: all. */
  get own(): ReadonlySet<number> | undefined {
    return this.left.size === 0 ? undefined : this.where((shard) => !this.left.has(shard));
  }

  get isAny(): boolean {
    return this.left.size > 0;
  }

  get areAll(): boolean {
    return this.left.size === this.shards;
  }

  has(position: Position): boolean {
    return this.left.size > 0 && this.left.has(shardOf(position));
  }

  leave(shard: number): Leaving {
    const leaving = Symbol(`shard ${shard}`);
    this.left.set(shard, leaving);
    return leaving;
  }

  /** @returns false when it is the node's own already */
  follow(shard: number): boolean {
    return this.left.delete(shard);
  }

  /** From here on a relay brings the shard. @returns false when it was taken back since it was left */
  begin(shard: number, leaving: Leaving, place: Position): boolean {
    if (this.left.get(shard) !== leaving) return false;
    this.brought[shard] = { from: this.brought[shard]?.from ?? place, to: place };
    return true;
  }

  bringTo(shard: number, place: Position): void {
    const stretch = this.brought[shard];
    if (stretch !== undefined) stretch.to = place;
  }

  hasBrought(position: Position): boolean {
    const shard = shardOf(position);
    const stretch = this.brought[shard];
    if (stretch === undefined) return false;
    const place = placeIn(position, shard);
    return !hasPassed(stretch.from, place) && hasPassed(stretch.to, place);
  }

  /** Where somebody goes on who has come to `checked` and leaves out what relays have brought. */
  past(checked: Position): Position {
    return this.brought.reduce<Position>((position, stretch, shard) => {
      if (stretch === undefined || !hasPassed(placeIn(checked, shard), stretch.from)) return position;
      if (!this.left.has(shard)) this.brought[shard] = undefined;
      return furthest(ofShard(shard, stretch.to), position);
    }, checked);
  }

  /** The shards of which something after `checked` was the node's own to take; undefined: all. */
  ownAfter(checked: Position): ReadonlySet<number> | undefined {
    if (this.left.size === 0) return undefined;
    return this.where((shard) => {
      const stretch = this.brought[shard];
      const isBefore = stretch !== undefined && !hasPassed(placeIn(checked, shard), stretch.from);
      return isBefore || !this.left.has(shard);
    });
  }

  private where(holds: (shard: number) => boolean): ReadonlySet<number> {
    return new Set(Array.from({ length: this.shards }, (_, shard) => shard).filter(holds));
  }
}

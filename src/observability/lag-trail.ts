import { comparePositions, placeIn, shardOf, type Position } from '../kernel/position';

/** Marks kept at most; beyond it every other one is dropped, and counts get as much coarser. */
export const TRAIL_MARKS_MAX = 8_192;

interface Mark {
  readonly position: Position;
  /** Events seen up to and including this one. */
  readonly count: number;
}

/**
 * How many events lie between what a reader of the log has seen and what a follower of the same log has reached.
 * Positions cannot be subtracted (EventStoreDB's count bytes), so the reader leaves marks behind. Exact while at
 * most TRAIL_MARKS_MAX events lie between; beyond, off by one part in TRAIL_MARKS_MAX / 2 at most.
 */
export class LagTrail {
  /** By shard: there is no order between the positions of several. */
  private readonly trails: ShardTrail[] = [];

  /** The reader has seen the next event, or the next few of one shard. */
  see(position: Position, events = 1): void {
    const shard = shardOf(position);
    (this.trails[shard] ??= new ShardTrail()).see(placeIn(position, shard), events);
  }

  /** Events seen that lie after `follower`. What it has passed once counts as passed for ever. */
  behind(follower: Position): number {
    return this.trails.reduce((sum, trail, shard) => sum + trail.behind(placeIn(follower, shard)), 0);
  }
}

class ShardTrail {
  private marks: Mark[] = [];
  private count = 0;
  /** Of the newest mark, and of the newest one that the follower has passed. */
  private marked = 0;
  private passed = 0;
  /** Events from one mark to the next. */
  private stride = 1;

  see(position: Position, events: number): void {
    this.count += events;
    if (this.count - this.marked < this.stride) return;
    this.marked = this.count;
    this.marks.push({ position, count: this.count });
    if (this.marks.length <= TRAIL_MARKS_MAX) return;
    this.stride *= 2;
    this.marks = this.marks.filter((_, n) => n % 2 === 1);
  }

  behind(follower: Position): number {
    const passed = this.marksUpTo(follower);
    this.passed = this.marks[passed - 1]?.count ?? this.passed;
    this.marks.splice(0, passed);
    if (this.marks.length === 0) {
      this.stride = 1;
      this.passed = this.marked = this.count;
    }
    return this.count - this.passed;
  }

  private marksUpTo(follower: Position): number {
    let [low, high] = [0, this.marks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const { position } = this.marks[middle] as Mark;
      if (comparePositions(position, follower) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

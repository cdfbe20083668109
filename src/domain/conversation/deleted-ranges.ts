import type { List } from 'immutable';
import type { Seq } from '../../kernel/ids';

/** Disjoint, ascending, inclusive ranges of the seqs of deleted messages. */
export type DeletedRanges = List<readonly [Seq, Seq]>;

/** Index of the last range that begins at or before `seq`; -1: none does. O(log n). */
function rangeBefore(ranges: DeletedRanges, seq: Seq): number {
  let low = 0;
  let high = ranges.size;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges.get(middle) as readonly [Seq, Seq])[0] <= seq) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Is the message at `seq` known to be deleted? O(log n). */
export function isDeleted(ranges: DeletedRanges, seq: Seq): boolean {
  const at = rangeBefore(ranges, seq);
  return at >= 0 && seq <= (ranges.get(at) as readonly [Seq, Seq])[1];
}

/**
 * Adds one seq, growing or joining the ranges beside it. At most `max` ranges are kept; the one with the
 * lowest seqs goes first. Searching is O(log n); at the recent end, where people delete, so is adding.
 */
export function withDeleted(ranges: DeletedRanges, seq: Seq, max: number): DeletedRanges {
  const at = rangeBefore(ranges, seq);
  const left = at >= 0 ? ranges.get(at) : undefined;
  if (left !== undefined && seq <= left[1]) return ranges;
  const right = ranges.get(at + 1);
  const touchesLeft = left !== undefined && left[1] + 1 === seq;
  const touchesRight = right !== undefined && right[0] - 1 === seq;
  if (touchesLeft && touchesRight) return ranges.delete(at + 1).set(at, [left[0], right[1]]);
  if (touchesLeft) return ranges.set(at, [left[0], seq]);
  if (touchesRight) return ranges.set(at + 1, [seq, right[1]]);
  const grown = at + 1 === ranges.size ? ranges.push([seq, seq]) : ranges.insert(at + 1, [seq, seq]);
  return grown.size > max ? grown.shift() : grown;
}

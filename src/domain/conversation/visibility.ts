import { asSeq, type Seq, type UserId } from '../../kernel/ids';
import type { HistoryVisibility, Recorded } from './events';
import { readCursorOf } from './packed-cursors';

/** Seqs from `from` to `to`, both included; `to: undefined` is open: on to the head and beyond. */
export interface SeqSpan {
  readonly from: Seq;
  readonly to: Seq | undefined;
}

/**
 * What one may read, from the times of one's membership: the one rule for live, sync, history, events,
 * search, receipts and files (DESIGN.md section 5).
 *
 * `joined`: the events of those times. `shared`: also everything before, so that a member reads all there is,
 * and somebody who left or was removed reads up to that event. Nobody reads what came after.
 *
 * @param spans the memberships, ascending; each from the joining event up to the leaving one, both included.
 * @returns disjoint, ascending ranges; none for somebody who never was a member.
 */
export function visibleRanges(
  spans: readonly SeqSpan[],
  historyVisibility: HistoryVisibility,
): readonly SeqSpan[] {
  const last = spans.at(-1);
  if (last === undefined) return [];
  return historyVisibility === 'shared' ? [{ from: asSeq(0), to: last.to }] : spans;
}

/** Is the event at `seq` within the ranges? */
export const mayRead = (ranges: readonly SeqSpan[], seq: Seq): boolean =>
  ranges.some(({ from, to }) => from <= seq && (to === undefined || seq <= to));

/** What of the ranges lies from `first` to `last`, both included; `last` may be Infinity. */
export function clipped(ranges: readonly SeqSpan[], first: number, last: number): readonly SeqSpan[] {
  return ranges
    .map(({ from, to }) => ({ from: Math.max(from, first), to: Math.min(to ?? Infinity, last) }))
    .filter(({ from, to }) => from <= to)
    .map(({ from, to }) => ({ from: asSeq(from), to: to === Infinity ? undefined : asSeq(to) }));
}

/**
 * The event as one who may read it sees it. Receipts for the `concerned` show each user their own cursors
 * only, and packed ones of what was delivered to nobody; undefined: to this user the event does not exist.
 */
export function seenBy(recorded: Recorded, userId: UserId): Recorded | undefined {
  const { event } = recorded;
  if (event.type !== 'MessageDelivered' && event.type !== 'MessageRead') return recorded;
  if (event.audience === 'everyone') return recorded;
  const { type, audience } = event;
  if (type === 'MessageRead') {
    const cursor = readCursorOf(event, userId);
    return cursor && { ...recorded, event: { type, by: userId, cursors: [cursor], audience } };
  }
  const cursors = event.packed === undefined ? event.cursors.filter((one) => one.userId === userId) : [];
  return cursors.length === 0 ? undefined : { ...recorded, event: { type, by: userId, cursors, audience } };
}

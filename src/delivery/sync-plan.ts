import type { InboxHead } from '../application/ports/read-models';
import { visibleRanges } from '../domain/conversation/visibility';
import { asSeq, type ConversationId, type Seq } from '../kernel/ids';

/** Seqs to read, `low` to `high`, both included. */
export interface Segment {
  readonly low: Seq;
  readonly high: Seq;
}

/** What a device misses of one conversation. */
export interface Gap {
  readonly conversationId: ConversationId;
  /** Newest first, disjoint: what the user may read of what the device does not have. */
  readonly segments: readonly Segment[];
  /** Seq of the first event the device would have, were none left out. */
  readonly from: Seq;
  /** The device has everything up to here afterwards; -1: it is to have nothing. */
  readonly upTo: Seq | -1;
  /** The user is no member any more, or never was. */
  readonly removed: boolean;
  /** The cursor lies beyond the head that the read models know, and counted as none. */
  readonly beyond: boolean;
}

/**
 * Which conversations a `sync` answers, in this order: those the user is no longer in, those that moved since the
 * device's cursor, and `recent` of those the device has no cursor for, newest activity first. As far as there is room
 * among the last, they are followed by conversations that the user has left and the device may never have heard of: what
 * was said there while its user belonged to them is owed to it like anything else. A device that keeps the cursors of
 * what it has left is told nothing twice.
 *
 * @param heads as `InboxReads.heads` gives them
 * @param owed conversations that are answered although they may not have moved, for the sake of their summaries
 */
export function planSync(
  heads: readonly InboxHead[],
  cursors: ReadonlyMap<ConversationId, Seq>,
  recent: number,
  owed: ReadonlySet<ConversationId> = NONE,
): readonly Gap[] {
  const removed: Gap[] = [];
  const moved: Gap[] = [];
  const unseen: Gap[] = [];
  const leftUnseen: Gap[] = [];
  const known = new Set<ConversationId>();
  for (const head of heads) {
    known.add(head.conversationId);
    const cursor = cursors.get(head.conversationId);
    if (cursor === undefined) {
      const among = hasLeft(head) ? leftUnseen : unseen;
      if (among.length < recent) among.push(gapOf(head, cursor));
      continue;
    }
    const gap = gapOf(head, cursor);
    if (gap.removed) removed.push(gap);
    else if (cursor !== head.headSeq || owed.has(head.conversationId)) moved.push(gap);
  }
  for (const id of cursors.keys()) if (!known.has(id)) removed.push(neverMine(id));
  return [...removed, ...moved, ...unseen, ...leftUnseen.slice(0, recent - unseen.length)];
}

/** The `recent` conversations of {@link planSync} that the device has no cursor for. */
export const unseenOf = (
  heads: readonly InboxHead[],
  cursors: ReadonlyMap<ConversationId, Seq>,
  recent: number,
): readonly ConversationId[] =>
  planSync(heads, cursors, recent)
    .map(({ conversationId }) => conversationId)
    .filter((id) => !cursors.has(id));

const NONE: ReadonlySet<ConversationId> = new Set();

const hasLeft = ({ spans }: InboxHead): boolean => spans.at(-1)?.to !== undefined;

/**
 * What lies between the cursor and the head. A cursor beyond the head counts as none: it is of another
 * conversation, of a log that was restored, or made up, and the device has to get what there is; unless the log
 * itself has that seq already, which the reader of the gap looks up.
 */
export function gapOf(head: InboxHead, cursor: Seq | undefined): Gap {
  const { conversationId, headSeq } = head;
  const leftAt = head.spans.at(-1)?.to;
  const upTo = leftAt === undefined || leftAt > headSeq ? headSeq : leftAt;
  const beyond = cursor !== undefined && cursor > headSeq;
  const after = cursor === undefined || beyond ? -1 : cursor;
  const segments = visibleRanges(head.spans, head.historyVisibility)
    .map(({ from, to }) => ({
      low: asSeq(Math.max(from, after + 1)),
      high: asSeq(Math.min(to ?? upTo, upTo)),
    }))
    .filter(({ low, high }) => low <= high)
    .reverse();
  const from = after === -1 ? (segments.at(-1)?.low ?? asSeq(0)) : asSeq(after + 1);
  return { conversationId, segments, from, upTo, removed: leftAt !== undefined, beyond };
}

/** The same answer for what does not exist and for what is none of the user's: existence is not leaked. */
export const neverMine = (conversationId: ConversationId): Gap => ({
  conversationId,
  segments: [],
  from: asSeq(0),
  upTo: -1,
  removed: true,
  beyond: false,
});

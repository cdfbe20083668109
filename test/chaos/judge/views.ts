import type { RestView } from '../journal';
import { historyOf, unreadOf, type FoldedConversation } from './fold';
import type { Case, Violation } from './judge';

/** What REST says when all is quiet: invariants 12, 13, 15 and 21. */
export function judgeViews({ views, folded }: Case): Violation[] {
  return views.flatMap((view) => {
    const conversation = folded.get(view.conversationId);
    return conversation === undefined ? [] : judgeView(view, conversation);
  });
}

function judgeView(view: RestView, folded: FoldedConversation): Violation[] {
  const { userId, conversationId, status } = view;
  const violations: Violation[] = [];
  const say = (invariant: number, what: string): void => {
    violations.push({ invariant, text: `REST to ${userId} of ${conversationId}: ${what}` });
  };
  const isMember = folded.spans.get(userId)?.at(-1)?.to === Infinity;
  if (!isMember) {
    if (status === 200) say(15, 'answers somebody who is no member');
    return violations;
  }
  const equal = (invariant: number, what: string, said: number | undefined, is: number): void => {
    if (said !== is) say(invariant, `${what} is ${String(said)}, by the log ${is}`);
  };
  equal(21, 'headSeq', view.headSeq, folded.events.length - 1);
  equal(12, 'unreadCount', view.unreadCount, unreadOf(folded, userId));
  equal(13, 'readUpTo', view.readUpTo, folded.readUpTo.get(userId) ?? -1);
  equal(
    13,
    'lastOrdinal',
    view.lastOrdinal,
    folded.events.filter(({ type }) => type === 'MessageSent').length,
  );
  if (view.history !== undefined) {
    const [said, is] = [view.history.join(), historyOf(folded, userId).join()];
    if (said !== is) say(13, `history is ${said.slice(0, 200)}, by the log ${is.slice(0, 200)}`);
  }
  return violations;
}

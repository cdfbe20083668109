import fc from 'fast-check';
import { conversationOf, userOf } from '../../test/support/delivery';
import { replayable } from '../../test/support/replayable';
import type { ConversationEvent, Recorded } from '../domain/conversation/events';
import { mayRead, seenBy, visibleRanges, type SeqSpan } from '../domain/conversation/visibility';
import { asMillis, asSeq, type Seq } from '../kernel/ids';
import { MembershipWalk } from './membership-walk';

const ME = userOf(1);
const OTHER = userOf(2);

/** A stream in which I come and go, with my memberships as the inbox would have them. */
function streamOf(steps: readonly ('come or go' | 'other' | 'receipt')[], isFirstMember: boolean) {
  const spans: { from: Seq; to: Seq | undefined }[] = [];
  const started = { type: 'ConversationStarted', by: OTHER, kind: 'group', memberIds: [OTHER] } as const;
  const events: ConversationEvent[] = [isFirstMember ? { ...started, memberIds: [OTHER, ME] } : started];
  if (isFirstMember) spans.push({ from: asSeq(0), to: undefined });
  for (const [n, step] of steps.entries()) {
    const seq = asSeq(n + 1);
    const last = spans.at(-1);
    if (step === 'come or go') {
      const isMember = last !== undefined && last.to === undefined;
      const change = isMember ? 'removed' : 'joined';
      events.push({ type: 'MembershipChanged', by: OTHER, userId: ME, change });
      if (isMember) last.to = seq;
      else spans.push({ from: seq, to: undefined });
    } else if (step === 'receipt') {
      const cursors = [{ userId: OTHER, upTo: asSeq(0) }];
      events.push({ type: 'MessageRead', by: OTHER, cursors, audience: 'concerned' });
    } else {
      events.push({ type: 'MembershipChanged', by: OTHER, userId: userOf(n + 10), change: 'joined' });
    }
  }
  const recorded = events.map((event, n): Recorded => ({
    conversationId: conversationOf(1),
    seq: asSeq(n),
    at: asMillis(0),
    event,
  }));
  return { recorded, spans: spans as readonly SeqSpan[] };
}

describe('MembershipWalk', () => {
  it('sees backwards exactly what visibleRanges lets one read', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('come or go', 'come or go', 'other', 'receipt'), { maxLength: 20 }),
        fc.boolean(),
        fc.constantFrom('joined', 'shared'),
        (steps, isFirstMember, historyVisibility) => {
          const { recorded, spans } = streamOf(steps, isFirstMember);
          const isMember = spans.length > 0 && spans.at(-1)?.to === undefined;
          const walk = new MembershipWalk(ME, isMember, historyVisibility);
          const walked = recorded.toReversed().flatMap((one) => walk.see(one) ?? []);
          const ranges = visibleRanges(spans, historyVisibility);
          const readable = recorded
            .filter(({ seq }) => mayRead(ranges, seq))
            .flatMap((one) => seenBy(one, ME) ?? []);
          expect(walked.reverse()).toEqual(readable);
          expect(walk.leftAt).toBe(isMember ? undefined : spans.at(-1)?.to);
        },
      ),
      replayable(500),
    );
  });
});

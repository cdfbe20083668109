import { audienceOfBody, factOf, type Entry, type Journal } from '../journal';
import { due, maySee, type FoldedConversation } from './fold';
import type { Case, Violation } from './judge';

type Seen = Extract<Entry, { type: 'seen' }>;

/** Frame names of PROTOCOL.md section 2. */
const FRAME_OF: Readonly<Record<string, string>> = {
  ConversationStarted: 'conversation.started',
  ConversationChanged: 'conversation.changed',
  MembershipChanged: 'membership.changed',
  MessageSent: 'message.sent',
  MessageEdited: 'message.edited',
  MessageDeleted: 'message.deleted',
  ReactionChanged: 'reaction.changed',
  MessageDelivered: 'message.delivered',
  MessageRead: 'message.read',
};

/** What a device was shown: invariants 1 (it reaches every device), 2, 3, 6, 15 and 16. */
export function judgeSightings(theCase: Case, journal: Journal): Violation[] {
  const violations: Violation[] = [];
  const say = (invariant: number, what: string): void => {
    violations.push({ invariant, text: `${journal.device}: ${what}` });
  };
  const order = new PushOrder(journal, say);
  for (const entry of journal.entries) {
    order.take(entry);
    if (entry.type === 'seen') judgeOne(theCase, journal, entry, say);
  }
  if (journal.isCaughtUp) {
    for (const [conversationId, folded] of theCase.folded) {
      judgeCompleteness(journal, conversationId, folded, say);
    }
  }
  return violations;
}

type Say = (invariant: number, what: string) => void;

function judgeOne({ folded }: Case, { userId }: Journal, seen: Seen, say: Say): void {
  const { conversationId, seq, event, fact } = seen;
  const conversation = folded.get(conversationId);
  const stored = conversation?.events[seq];
  if (conversation === undefined || stored === undefined) {
    say(2, `was shown ${event} ${seq} of ${conversationId}, which is not in the log`);
    return;
  }
  if (!maySee(conversation, userId, seq)) {
    say(15, `was shown ${event} ${seq} of ${conversationId}, when its user was no member`);
  }
  const isReceipt = stored.type === 'MessageDelivered' || stored.type === 'MessageRead';
  const isCut = isReceipt && stored.data['audience'] !== 'everyone';
  const isSame = FRAME_OF[stored.type] === event && (isCut || factOf(stored.at, stored.data) === fact);
  if (!isSame)
    say(2, `was shown ${event} ${seq} of ${conversationId} as "${fact}", which the log has otherwise`);
  const tag = audienceOfBody(fact);
  if (tag !== undefined && tag !== conversationId) {
    say(16, `was shown a text for ${tag} as one of ${conversationId}`);
  }
}

/** Strictly rising: what is pushed over one socket, and whatever the SDK hands to its application. */
class PushOrder {
  private last = new Map<string, number>();
  private readonly got = new Map<string, Set<number>>();

  constructor(
    private readonly journal: Journal,
    private readonly say: Say,
  ) {}

  take(entry: Entry): void {
    const isWire = this.journal.kind === 'wire';
    if (entry.type === 'ready' && isWire) this.last = new Map();
    if (entry.type !== 'seen' || (isWire && entry.via === 'page')) return;
    const { conversationId, seq } = entry;
    const before = this.last.get(conversationId);
    const got = this.got.get(conversationId) ?? new Set();
    this.got.set(conversationId, got);
    if (before !== undefined && seq === before)
      this.say(6, `was given ${seq} of ${conversationId} twice in a row`);
    else if (before !== undefined && seq < before) {
      if (!isWire && got.has(seq)) this.say(6, `was given ${seq} of ${conversationId} again`);
      else this.say(3, `was given ${seq} of ${conversationId} after ${before}`);
    }
    got.add(seq);
    this.last.set(conversationId, Math.max(before ?? -1, seq));
  }
}

function judgeCompleteness(
  { userId, entries }: Journal,
  conversationId: string,
  folded: FoldedConversation,
  say: Say,
): void {
  const got = new Set<number>();
  const leftOut: { after: number; before: number }[] = [];
  const asked = new Map<number, number>();
  for (const entry of entries) {
    if (entry.type === 'seen' && entry.conversationId === conversationId) got.add(entry.seq);
    if (entry.type === 'syncAsked') asked.set(entry.socket, entry.cursors[conversationId] ?? -1);
    if (entry.type === 'page' && entry.limited && entry.conversationId === conversationId) {
      leftOut.push({ after: asked.get(entry.socket) ?? -1, before: entry.from });
    }
  }
  const missing = due(folded, userId, -1, Infinity).filter(
    (seq) => !got.has(seq) && !leftOut.some(({ after, before }) => after < seq && seq < before),
  );
  if (missing.length === 0) return;
  say(1, `never got ${missing.slice(0, 10).join(', ')} of ${conversationId} (${missing.length} in all)`);
}

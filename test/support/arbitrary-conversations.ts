import * as fc from 'fast-check';
import { deviceTagOf, pack, userTagOf } from '../../src/domain/conversation/packed-cursors';
import type {
  ConversationEvent,
  DeliveredCursor,
  ReadCursor,
  Recorded,
  Role,
} from '../../src/domain/conversation/events';
import {
  asClientMessageId,
  asConversationId,
  asDeviceId,
  asMessageId,
  asMillis,
  asOrdinal,
  asSeq,
  asUserId,
  type ConversationId,
  type Seq,
  type UserId,
} from '../../src/kernel/ids';
import { uuidv5 } from '../../src/kernel/uuid';

const NAMESPACE = '0a4b1c1e-55d5-4c62-9c0a-0a54a1b0c001';
const EMOJI = ['👍', '🎉', 'e\0e', '\ud800'];
const ROLES: readonly Role[] = ['owner', 'admin', 'member'];
const BODIES = ['hello', '', 'nul \0 and lone \udc00', '{"quotes": \\"and\\" backslashes\\\\u0000}', 'ünï'];

export const userNamed = (name: string): UserId => asUserId(uuidv5(name, NAMESPACE));
const USERS = ['ann', 'bob', 'cid', 'dan', 'eve'].map(userNamed);

/** What happens next, as numbers; which event that is depends on what happened before. */
export interface Step {
  readonly conversation: number;
  readonly what: number;
  readonly who: number;
  readonly which: number;
}

export const steps = (max: number): fc.Arbitrary<readonly Step[]> =>
  fc.array(fc.record({ conversation: fc.nat(2), what: fc.nat(19), who: fc.nat(9), which: fc.nat(99) }), {
    minLength: 1,
    maxLength: max,
  });

/** A conversation under way, with just enough memory to say only what the decider would let happen. */
class Script {
  private readonly members = new Set<UserId>(USERS.slice(0, 3));
  private readonly messages: { readonly seq: Seq; deleted: boolean; version: number }[] = [];
  private next = 0;

  constructor(
    readonly id: ConversationId,
    private readonly at: () => number,
  ) {}

  start(): Recorded {
    return this.record({
      type: 'ConversationStarted',
      by: USERS[0] as UserId,
      kind: 'group',
      title: 'plans \0 here',
      memberIds: [...this.members],
    });
  }

  step({ what, who, which }: Step): Recorded | undefined {
    const everybody = [...this.members];
    const by = everybody[who % everybody.length];
    if (by === undefined) return undefined;
    if (what <= 6) return this.send(by, which);
    if (what <= 9) return this.alter(by, what, which);
    if (what <= 12) return this.receipt(by, what, which);
    if (what <= 17) return this.membership(by, what, which);
    return this.record({
      type: 'ConversationChanged',
      by,
      ...(which % 2 === 0 ? { title: `title ${which}` } : { description: `about ${which}` }),
      settings: which % 3 === 0 ? { historyVisibility: 'shared' } : { whoMayPost: 'admins' },
    });
  }

  private send(by: UserId, which: number): Recorded {
    const ordinal = asOrdinal(this.messages.length + 1);
    this.messages.push({ seq: asSeq(this.next), deleted: false, version: 1 });
    return this.record({
      type: 'MessageSent',
      by,
      messageId: asMessageId(uuidv5(`${this.id}/${ordinal}`, NAMESPACE)),
      clientMessageId: asClientMessageId(`key-${ordinal}`),
      ordinal,
      content: { type: 'text', body: BODIES[which % BODIES.length] as string, n: which },
      contentHash: `hash-${which}`,
      ...(which % 4 === 0
        ? { mentions: [USERS[which % 5] as UserId, USERS[(which + 1) % 5] as UserId] }
        : {}),
      ...(which % 7 === 0 ? { replyTo: asSeq(0), originalAt: '2004-01-01T00:00:00.000Z' } : {}),
    });
  }

  private alter(by: UserId, what: number, which: number): Recorded | undefined {
    // Among the first few, so that much happens to the same one.
    const target = this.messages[which % Math.max(1, Math.min(4, this.messages.length))];
    if (target === undefined) return undefined;
    // Also of deleted ones: the decider refuses that, but a read model must not bring them back.
    if (what === 7 || which % 4 === 1) {
      target.version += 1;
      const content = { type: 'text', body: `edited ${this.next}` };
      return this.record({ type: 'MessageEdited', by, target: target.seq, content, version: target.version });
    }
    if (target.deleted) return undefined;
    if (what === 8 && which % 2 === 0) {
      target.deleted = true;
      return this.record({ type: 'MessageDeleted', by, target: target.seq });
    }
    const change = which % 3 === 0 ? 'removed' : 'added';
    const emoji = EMOJI[which % EMOJI.length] as string;
    return this.record({ type: 'ReactionChanged', by, target: target.seq, emoji, change });
  }

  private receipt(by: UserId, what: number, which: number): Recorded {
    const upTo = asSeq(which % this.next);
    const other = USERS[which % 5] as UserId;
    if (what === 10) {
      const cursors = [
        { userId: by, deviceId: asDeviceId(`phone-${which % 2}`), upTo },
        { userId: other, deviceId: asDeviceId('desk'), upTo: asSeq(0) },
      ];
      if (which % 3 === 0) return this.packed('MessageDelivered', by, cursors);
      return this.record({ type: 'MessageDelivered', by, cursors, audience: 'everyone' });
    }
    const cursors = [{ userId: by, upTo }];
    // Near the head, so that the cursor of somebody who has left would move, were it taken for a member's.
    const late = asSeq(Math.max(0, this.next - 1 - (which % 2)));
    if (which % 3 === 0) return this.packed('MessageRead', by, [...cursors, { userId: other, upTo: late }]);
    return this.record({ type: 'MessageRead', by, cursors, audience: 'everyone' });
  }

  /** As in large groups, with one cursor left in full. Nobody shares a tag here; some are no members any more. */
  private packed(
    type: 'MessageDelivered' | 'MessageRead',
    by: UserId,
    all: readonly (ReadCursor & Partial<DeliveredCursor>)[],
  ): Recorded {
    const [first, ...rest] = all as readonly DeliveredCursor[];
    const entries = (type === 'MessageRead' ? all : rest).map(({ userId, deviceId, upTo }) => ({
      user: userTagOf(userId) ?? 0,
      ...(deviceId === undefined ? {} : { device: deviceTagOf(deviceId) }),
      upTo,
    }));
    const cursors = type === 'MessageRead' || first === undefined ? [] : [first];
    return this.record({ type, by, cursors, audience: 'concerned', packed: pack(entries) });
  }

  private membership(by: UserId, what: number, which: number): Recorded | undefined {
    const userId = USERS[which % 5] as UserId;
    const type = 'MembershipChanged';
    if (!this.members.has(userId)) {
      this.members.add(userId);
      return this.record({ type, by, userId, change: 'joined', role: ROLES[which % 3] as Role });
    }
    if (what <= 14 && this.members.size > 1) {
      this.members.delete(userId);
      return this.record({ type, by: userId, userId, change: userId === by ? 'left' : 'removed' });
    }
    return this.record({ type, by, userId, change: 'roleChanged', role: ROLES[which % 3] as Role });
  }

  private record(event: ConversationEvent): Recorded {
    const seq = asSeq(this.next++);
    return { conversationId: this.id, seq, at: asMillis(this.at()), event };
  }
}

/** The log of up to three new conversations, interleaved. Times are those of `seed`-independent small clocks. */
export function logOf(script: readonly Step[], newId: () => string): readonly Recorded[] {
  let now = 1_700_000_000_000;
  // Now and then the clock jumps back: order comes from seqs alone.
  const at = (): number => (now += now % 7 === 0 ? -5_000 : 1_003);
  const scripts = new Map<number, Script>();
  const log: Recorded[] = [];
  for (const step of script) {
    let conversation = scripts.get(step.conversation);
    if (conversation === undefined) {
      conversation = new Script(asConversationId(newId()), at);
      scripts.set(step.conversation, conversation);
      log.push(conversation.start());
    }
    const recorded = conversation.step(step);
    if (recorded !== undefined) log.push(recorded);
  }
  return log;
}

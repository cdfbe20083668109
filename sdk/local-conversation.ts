import type { EventFrame } from '../src/protocol/events';
import type { Summary } from './conversations';
import { messageFromEvent, type LocalMessage } from './local-message';

/** Messages kept per conversation; older ones are one REST page away. */
export const MESSAGES_KEPT_MAX = 500;

/** Changes of title and members that are remembered for a summary older than they are. */
export const CHANGES_KEPT_MAX = 100;

type ChangeFrame = Extract<EventFrame, { event: 'conversation.changed' | 'membership.changed' }>;
type MessageSent = Extract<EventFrame, { event: 'message.sent' }>['data'];
type MembershipChanged = Extract<EventFrame, { event: 'membership.changed' }>['data'];
type ReactionChanged = Extract<EventFrame, { event: 'reaction.changed' }>['data'];

/** One conversation as this device knows it. Changed by events in the order of their seqs, nothing else. */
export class LocalConversation {
  kind: 'direct' | 'group' | undefined;
  title: string | undefined;
  /** Who is in it, as far as known: a summary names 100 at most, `memberCount` counts all. */
  readonly members = new Map<string, 'owner' | 'admin' | 'member'>();
  memberCount = 0;
  headSeq = -1;
  lastOrdinal = 0;
  readUpTo = -1;
  unread = 0;
  activeAt = '';
  /** Ascending by seq; the newest MESSAGES_KEPT_MAX. */
  messages: LocalMessage[] = [];
  /** Of this device, not yet stored, by clientMessageId in the order of sending. */
  readonly pending = new Map<string, LocalMessage>();
  /** Delivered and read cursors of the others, as far as this device is told. */
  readonly deliveredBy = new Map<string, number>();
  readonly readBy = new Map<string, number>();
  /** How far a very large conversation that is not on screen is known to have got. */
  private announced = { headSeq: -1, headOrdinal: 0 };
  /** Counts of a summary include everything up to here; events at or below must not count again. */
  private countedUpTo = -1;
  /** Where this user's present membership began, if an event told; what lies before does not count as unread. */
  private joinedSeq = -1;
  private readonly changes: ChangeFrame[] = [];
  /** Every message from here on is kept, so that counting them is exact. */
  private knownFrom = Infinity;
  /** Something was read among messages that are not kept: how many are left, only the server can say. */
  private isReadBlindly = false;
  /** Seq of the event since which only a summary knows how many are unread; -1: the count is right. */
  private uncertainSince = -1;

  constructor(readonly id: string) {}

  /** The log has moved in a way that cannot be counted here: a summary is needed. */
  get isUncertain(): boolean {
    return this.uncertainSince >= 0;
  }

  apply(frame: EventFrame, own: string | undefined): void {
    const { seq } = frame.data;
    if (seq <= this.headSeq) return;
    if (this.headSeq === -1) this.knownFrom = seq;
    this.headSeq = seq;
    switch (frame.event) {
      case 'conversation.started':
        this.kind = frame.data.kind;
        this.title = frame.data.title;
        for (const id of frame.data.memberIds) this.members.set(id, 'member');
        if (frame.data.kind === 'group') this.members.set(frame.data.by, 'owner');
        this.memberCount = this.members.size;
        this.activeAt = frame.data.at;
        break;
      case 'conversation.changed':
      case 'membership.changed':
        if (frame.event === 'membership.changed' && isJoiningOf(own, frame.data)) this.beginAnew(seq);
        this.changes.push(frame);
        if (this.changes.length > CHANGES_KEPT_MAX) this.changes.shift();
        this.alter(frame);
        break;
      case 'message.sent':
        this.add(frame.data, own);
        break;
      case 'message.edited':
        this.change(frame.data.target, (message) => {
          message.content = frame.data.content;
          message.version = frame.data.version;
        });
        break;
      case 'message.deleted':
        this.delete(frame.data.target, seq);
        break;
      case 'reaction.changed':
        this.react(frame.data);
        break;
      case 'message.delivered':
        for (const { userId, upTo } of frame.data.cursors) advance(this.deliveredBy, userId, upTo);
        break;
      case 'message.read':
        for (const { userId, upTo } of frame.data.cursors) {
          advance(this.readBy, userId, upTo);
          if (userId !== own) continue;
          this.markRead(upTo);
          // The server counts from here on, and what was read before it knew is in its count.
          if (this.isReadBlindly && seq > this.countedUpTo) this.uncertainSince = seq;
        }
        break;
      default:
        // An event of a newer server; a client ignores what it does not know (PROTOCOL.md, preamble).
        ignoreUnknown(frame);
    }
  }

  /** The server's view at `summary.headSeq`: title, members and counts that events alone may not give. */
  summarise(summary: Summary): void {
    if (summary.headSeq < this.countedUpTo) return;
    this.countedUpTo = summary.headSeq;
    this.kind = summary.kind;
    this.title = summary.title;
    this.memberCount = summary.memberCount;
    if (summary.memberCount <= summary.members.length) this.members.clear();
    for (const { userId, role } of summary.members) this.members.set(userId, role);
    // Pushes may have come that the read models did not hold yet.
    for (const change of this.changes) if (change.data.seq > summary.headSeq) this.alter(change);
    if (this.activeAt < summary.activeAt) this.activeAt = summary.activeAt;
    this.lastOrdinal = Math.max(this.lastOrdinal, summary.lastOrdinal);
    this.unread = summary.unreadCount + this.unreadAfter(summary.headSeq);
    if (summary.headSeq >= this.uncertainSince) this.uncertainSince = -1;
    this.isReadBlindly = false;
    // What was read here may not have reached the server when it counted.
    const readHere = this.readUpTo;
    this.readUpTo = summary.readUpTo;
    this.markRead(readHere);
  }

  /** Messages that this device has only been told of: focusing the conversation brings them. */
  get announcedMessages(): number {
    const { headSeq, headOrdinal } = this.announced;
    return headSeq > this.headSeq ? Math.max(0, headOrdinal - this.lastOrdinal) : 0;
  }

  /** From `conversation.activity`. */
  announce(headSeq: number, headOrdinal: number): void {
    if (headSeq > this.announced.headSeq) this.announced = { headSeq, headOrdinal };
  }

  /** This user has read up to and including `upTo`, here or on another device. */
  markRead(upTo: number): void {
    if (upTo <= this.readUpTo) return;
    this.readUpTo = upTo;
    const oldest = this.messages[0]?.seq;
    // Messages before the oldest that is known cannot be counted here.
    const from = Math.min(oldest ?? Infinity, this.knownFrom - 1);
    if (upTo >= this.headSeq) this.unread = 0;
    else if (from <= upTo) this.unread = this.unreadAfter(upTo);
    else this.isReadBlindly = true;
  }

  /**
   * An acknowledgement. Of a message that lies before what is kept here it may come late, after a restart: then what was
   * made of the message since has gone by without it, and history alone has it as it now is.
   */
  settle(message: LocalMessage): void {
    this.pending.delete(message.clientMessageId);
    const hasPassed = message.seq !== undefined && message.seq <= this.headSeq;
    if (!hasPassed && this.bySeq(message.seq) === undefined) this.insert(message);
  }

  addOlder(message: LocalMessage): void {
    if (this.bySeq(message.seq) === undefined) this.insert(message);
  }

  dropBefore(seq: number): void {
    this.knownFrom = seq;
    this.messages = this.messages.filter((message) => (message.seq ?? seq) >= seq);
  }

  bySeq(seq: number | undefined): LocalMessage | undefined {
    if (seq === undefined) return undefined;
    return this.messages.findLast((message) => message.seq === seq);
  }

  private add(data: MessageSent, own: string | undefined): void {
    const pending = data.by === own ? this.pending.get(data.clientMessageId) : undefined;
    this.pending.delete(data.clientMessageId);
    // The optimistic object stays the one that is shown.
    const message = Object.assign(pending ?? messageFromEvent(data), {
      state: 'sent' as const,
      // One that was sent before the first connection did not know whose it was.
      senderId: data.by,
      seq: data.seq,
      ordinal: data.ordinal,
      messageId: data.messageId,
      at: data.at,
    });
    if (this.bySeq(data.seq) === undefined) this.insert(message);
    if (this.messages.length > MESSAGES_KEPT_MAX)
      this.knownFrom = (this.messages.shift()?.seq ?? data.seq) + 1;
    this.lastOrdinal = Math.max(this.lastOrdinal, data.ordinal);
    this.activeAt = data.at;
    if (data.seq <= this.countedUpTo) return;
    if (data.by === own) this.markRead(data.seq);
    else this.unread += 1;
  }

  private delete(target: number, seq: number): void {
    const message = this.bySeq(target);
    const wasDeleted = message !== undefined && message.content === null;
    if (message !== undefined) message.content = null;
    const mayCount = target > Math.max(this.readUpTo, this.joinedSeq) && seq > this.countedUpTo;
    if (!mayCount || wasDeleted) return;
    if (message !== undefined) this.unread = Math.max(0, this.unread - 1);
    // What is not kept here may be from before one joined.
    else this.uncertainSince = seq;
  }

  private react(data: ReactionChanged): void {
    this.change(data.target, ({ reactions }) => {
      const users = reactions.get(data.emoji) ?? new Set<string>();
      if (data.change === 'added') users.add(data.by);
      else users.delete(data.by);
      if (users.size > 0) reactions.set(data.emoji, users);
      else reactions.delete(data.emoji);
    });
  }

  private alter(frame: ChangeFrame): void {
    if (frame.event === 'membership.changed') this.changeMember(frame.data);
    else if (frame.data.title !== undefined) this.title = frame.data.title;
  }

  private changeMember(data: MembershipChanged): void {
    const isCounted = data.seq <= this.countedUpTo;
    switch (data.change) {
      case 'joined':
        if (!isCounted && !this.members.has(data.userId)) this.memberCount += 1;
        this.members.set(data.userId, data.role ?? 'member');
        break;
      case 'left':
      case 'removed':
        if (!isCounted) this.memberCount = Math.max(0, this.memberCount - 1);
        this.members.delete(data.userId);
        break;
      case 'roleChanged':
        this.members.set(data.userId, data.role ?? 'member');
        break;
      case 'blocked':
      case 'unblocked':
        break;
      default:
        ignoreUnknown(data.change);
    }
  }

  /** Who comes back has read nothing yet, and what was said before is not unread. */
  private beginAnew(seq: number): void {
    this.joinedSeq = seq;
    if (seq <= this.countedUpTo) return;
    this.readUpTo = -1;
    this.unread = 0;
  }

  private change(target: number, change: (message: LocalMessage) => void): void {
    const message = this.bySeq(target);
    if (message !== undefined) change(message);
  }

  private insert(message: LocalMessage): void {
    const seq = message.seq ?? Infinity;
    const after = this.messages.findLastIndex((other) => (other.seq ?? Infinity) < seq);
    this.messages.splice(after + 1, 0, message);
  }

  private unreadAfter(upTo: number): number {
    const after = Math.max(upTo, this.joinedSeq);
    return this.messages.filter((message) => (message.seq ?? 0) > after && message.content !== null).length;
  }
}

const isJoiningOf = (own: string | undefined, { userId, change }: MembershipChanged): boolean =>
  userId === own && change === 'joined';

function advance(cursors: Map<string, number>, id: string, upTo: number): void {
  if (upTo > (cursors.get(id) ?? -1)) cursors.set(id, upTo);
}

/** Compiles only while the switch above handles every event known today. */
function ignoreUnknown(_value: never): void {
  return;
}

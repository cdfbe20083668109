import { fromStored } from '../../src/domain/conversation/codec';
import type { MessageSent, Recorded } from '../../src/domain/conversation/events';
import {
  deliveredCursorsOf,
  readCursorOf,
  readCursorsOf,
} from '../../src/domain/conversation/packed-cursors';
import { conversationOfStream } from '../../src/domain/conversation/streams';
import type { AppendResult, ExpectedRevision, NewEvent } from '../../src/application/ports/event-log';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { assertNever } from '../../src/kernel/assert-never';
import { asSeq, toSeq, type ConversationId, type UserId } from '../../src/kernel/ids';
import type { Trace } from './trace';

interface Span {
  readonly from: number;
  to: number | undefined;
}

/**
 * One conversation as the log has it, and who may see what of it: by the words of PROTOCOL.md, without the code under
 * test. What nodes and devices say is held against this.
 */
export class Chronicle {
  readonly events: Recorded[] = [];
  /** Text of the frame in which everybody sees the event, once one has been looked at in full. */
  readonly frames = new Map<number, string>();
  private readonly spans = new Map<UserId, Span[]>();
  private readonly keys = new Map<string, number>();
  private readonly cursors = new Map<string, number>();
  private isShared = false;
  private messages = 0;

  constructor(
    readonly id: ConversationId,
    readonly name: string,
    private readonly trace: Trace,
  ) {}

  get head(): number {
    return this.events.length - 1;
  }

  isMember(userId: UserId): boolean {
    const last = this.spans.get(userId)?.at(-1);
    return last !== undefined && last.to === undefined;
  }

  get memberIds(): readonly UserId[] {
    return [...this.spans.keys()].filter((userId) => this.isMember(userId));
  }

  /** Where the user's present or last membership began; undefined: there was none. */
  joinedAt(userId: UserId): number | undefined {
    return this.spans.get(userId)?.at(-1)?.from;
  }

  isVisible(userId: UserId, seq: number): boolean {
    const spans = this.spans.get(userId);
    const last = spans?.at(-1);
    if (spans === undefined || last === undefined || seq > this.head) return false;
    const within = this.isShared
      ? seq <= (last.to ?? Infinity)
      : spans.some(({ from, to }) => from <= seq && seq <= (to ?? Infinity));
    return within && this.concerns(userId, seq);
  }

  /** The first event between the two, both excluded, that a device is to have which has everything up to `after`. */
  firstOwed(userId: UserId, after: number, before: number): number | undefined {
    for (let seq = after + 1; seq < before; seq++) if (this.isVisible(userId, seq)) return seq;
    return undefined;
  }

  lastVisible(userId: UserId): number {
    for (let seq = this.head; seq >= 0; seq--) if (this.isVisible(userId, seq)) return seq;
    return -1;
  }

  /** Seq of the message with this key; undefined: there is none. */
  seqOf(by: string, key: string): number | undefined {
    return this.keys.get(`${by}/${key}`);
  }

  messageAt(seq: number): MessageSent | undefined {
    const event = this.events[seq]?.event;
    return event?.type === 'MessageSent' ? event : undefined;
  }

  add(recorded: Recorded): void {
    const { event, seq } = recorded;
    if (seq !== this.events.length) {
      this.trace.broken('4 dense', `${this.name} got event ${seq} after ${this.head}`);
      return;
    }
    this.events.push(recorded);
    if (
      event.type !== 'ConversationStarted' &&
      !this.isMember(event.by) &&
      event.type !== 'MembershipChanged'
    )
      this.trace.broken('15 removed means removed', `${event.type} at ${this.name}/${seq} is by no member`);
    switch (event.type) {
      case 'ConversationStarted':
        for (const userId of event.memberIds) this.spans.set(userId, [{ from: seq, to: undefined }]);
        this.isShared = event.settings?.historyVisibility === 'shared';
        return;
      case 'MembershipChanged':
        this.membershipChanged(event.userId, event.change, seq);
        return;
      case 'MessageSent':
        this.messageSent(event, seq);
        return;
      case 'MessageDelivered':
        for (const { userId, deviceId, upTo } of deliveredCursorsOf(event, this.memberIds))
          this.forward(`${userId}/${deviceId}`, upTo, seq);
        return;
      case 'MessageRead':
        for (const { userId, upTo } of readCursorsOf(event, this.memberIds)) this.forward(userId, upTo, seq);
        return;
      case 'ConversationChanged':
      case 'MessageEdited':
      case 'MessageDeleted':
      case 'ReactionChanged':
        return;
      default:
        assertNever(event);
    }
  }

  private concerns(userId: UserId, seq: number): boolean {
    const event = this.events[seq]?.event;
    if (event?.type !== 'MessageDelivered' && event?.type !== 'MessageRead') return true;
    if (event.audience === 'everyone') return true;
    if (event.type === 'MessageRead') return readCursorOf(event, userId) !== undefined;
    return event.packed === undefined && event.cursors.some((cursor) => cursor.userId === userId);
  }

  private membershipChanged(userId: UserId, change: string, seq: number): void {
    const spans = this.spans.get(userId) ?? [];
    this.spans.set(userId, spans);
    const last = spans.at(-1);
    if (change === 'joined') {
      if (this.isMember(userId)) this.trace.broken('15 removed means removed', `${seq} joins a member`);
      spans.push({ from: seq, to: undefined });
    } else if ((change === 'left' || change === 'removed') && last !== undefined) last.to = seq;
  }

  private messageSent(event: MessageSent, seq: number): void {
    const key = `${event.by}/${event.clientMessageId}`;
    const before = this.keys.get(key);
    if (before !== undefined)
      this.trace.broken('5 once', `${this.name}/${seq} repeats the message at ${before}`);
    else this.keys.set(key, seq);
    if (event.ordinal !== ++this.messages)
      this.trace.broken('4 dense', `${this.name}/${seq} has ordinal ${event.ordinal}, not ${this.messages}`);
    this.cursors.set(event.by, Math.max(seq, this.cursors.get(event.by) ?? -1));
  }

  private forward(cursor: string, upTo: number, seq: number): void {
    const known = this.cursors.get(cursor) ?? -1;
    if (upTo <= known)
      this.trace.broken('9 cursors', `${this.name}/${seq} moves a cursor from ${known} to ${upTo}`);
    if (upTo >= seq) this.trace.broken('9 cursors', `${this.name}/${seq} moves a cursor beyond itself`);
    this.cursors.set(cursor, upTo);
  }
}

/** The one log of all nodes, which never fails; what is stored is chronicled in the same turn. */
export class TrueLog extends MemoryEventLog {
  readonly chronicles = new Map<ConversationId, Chronicle>();
  /** Called when something was stored. */
  grown: () => void = () => undefined;

  constructor(private readonly trace: Trace) {
    super();
  }

  chronicle(id: ConversationId): Chronicle {
    const known = this.chronicles.get(id);
    if (known !== undefined) return known;
    const made = new Chronicle(id, this.trace.nameOf('c', id), this.trace);
    this.chronicles.set(id, made);
    return made;
  }

  override async append(
    stream: string,
    events: readonly NewEvent[],
    options: { readonly expected: ExpectedRevision },
  ): Promise<AppendResult> {
    const result = await super.append(stream, events, options);
    const id = conversationOfStream(stream);
    if (id === undefined || result.kind !== 'appended') return result;
    const chronicle = this.chronicle(id);
    const first = toSeq(result.revision) - events.length + 1;
    events.forEach(({ type, data, metadata }, n) => {
      const seq = asSeq(first + n);
      const recorded = fromStored(id, { type, data, metadata, seq });
      // An append that is repeated, with the same ids, is answered and not stored.
      if (recorded === undefined || seq <= chronicle.head) return;
      this.trace.note(
        `log     ${chronicle.name}/${seq} ${type} by ${this.trace.nameOf('u', recorded.event.by)}`,
      );
      chronicle.add(recorded);
    });
    this.grown();
    return result;
  }
}

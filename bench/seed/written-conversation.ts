import { createHash } from 'node:crypto';
import { chainHash, CHAIN_START, eventIdOf } from '../../src/application/audit-chain';
import type { EventLog, NewEvent } from '../../src/application/ports/event-log';
import { schemaVersionOf, toStored } from '../../src/domain/conversation/codec';
import type { ConversationEvent, ConversationKind } from '../../src/domain/conversation/events';
import { conversationStream, directConversationId } from '../../src/domain/conversation/streams';
import {
  asClientMessageId,
  asConversationId,
  asDeviceId,
  asMessageId,
  asMillis,
  asOrdinal,
  asRevision,
  asSeq,
  toIso,
  type ConversationId,
  type Seq,
  type UserId,
} from '../../src/kernel/ids';
import { canonicalJson } from '../../src/kernel/json';
import { uuidv7 } from '../../src/kernel/uuid';

const DEVICE = asDeviceId('bench');

/**
 * A conversation as the server would have written it, hash chain and all, without asking the server: the past that a
 * benchmark begins with would take longer to send than to measure.
 */
export class WrittenConversation {
  readonly id: ConversationId;
  /** Of the last message; -1 before the first. */
  lastMessage = asSeq(-1);
  private head = -1;
  private stored = -1;
  private ordinal = 0;
  private hash = CHAIN_START;
  private pending: NewEvent[] = [];

  /** @param at when it began, in milliseconds since the epoch; a millisecond passes from event to event */
  constructor(
    readonly members: readonly UserId[],
    private at: number,
  ) {
    const [by, other] = members as [UserId, UserId];
    const kind: ConversationKind = members.length === 2 ? 'direct' : 'group';
    this.id = kind === 'direct' ? directConversationId(by, other) : asConversationId(uuidv7());
    this.add({ type: 'ConversationStarted', by, kind, memberIds: members });
  }

  get headSeq(): Seq {
    return asSeq(this.head);
  }

  /** Not yet in the log. */
  get pendingEvents(): number {
    return this.pending.length;
  }

  member(n: number): UserId {
    return this.members[n % this.members.length] as UserId;
  }

  send(by: UserId, body: string): Seq {
    const content = { type: 'text', body };
    this.lastMessage = this.add({
      type: 'MessageSent',
      by,
      clientMessageId: asClientMessageId(uuidv7()),
      content,
      contentHash: createHash('sha256').update(canonicalJson(content)).digest('hex'),
      messageId: asMessageId(uuidv7()),
      ordinal: asOrdinal(++this.ordinal),
    });
    return this.lastMessage;
  }

  delivered(users: readonly UserId[]): void {
    const cursors = users.map((userId) => ({ userId, deviceId: DEVICE, upTo: this.lastMessage }));
    this.add({ type: 'MessageDelivered', by: users[0] as UserId, cursors, audience: 'everyone' });
  }

  read(users: readonly UserId[]): void {
    const cursors = users.map((userId) => ({ userId, upTo: this.lastMessage }));
    this.add({ type: 'MessageRead', by: users[0] as UserId, cursors, audience: 'everyone' });
  }

  /** @returns its seq */
  add(event: ConversationEvent): Seq {
    const seq = ++this.head;
    this.at += 1;
    const at = toIso(asMillis(this.at));
    const { type, data } = toStored(event);
    const text = canonicalJson(data);
    this.hash = chainHash(this.hash, { conversationId: this.id, seq, at, type, data: text });
    const cause = uuidv7();
    const { hash } = this;
    const schemaVersion = schemaVersionOf(event);
    const metadata = { schemaVersion, correlationId: cause, causationId: cause, at, hash };
    this.pending.push({ id: eventIdOf(hash), type, data, dataText: text, metadata });
    return asSeq(seq);
  }

  /** Appends what is pending, once it is on the disk. */
  async store(log: EventLog): Promise<void> {
    const events = this.pending;
    if (events.length === 0) return;
    this.pending = [];
    const expected = this.stored < 0 ? 'noStream' : asRevision(BigInt(this.stored));
    this.stored += events.length;
    const outcome = await log.append(conversationStream(this.id), events, { expected });
    if (outcome.kind !== 'appended') throw new Error(`the log holds another ${this.id} already`);
  }
}

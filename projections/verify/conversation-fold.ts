import { createHash } from 'node:crypto';
import { assertNever } from '../../src/kernel/assert-never';
import { canonicalJson } from '../../src/kernel/json';
import { evolve } from '../../src/domain/conversation/evolve';
import type { MessageContent, MessageSent, Recorded } from '../../src/domain/conversation/events';
import { deliveredCursorsOf, readCursorsOf } from '../../src/domain/conversation/packed-cursors';
import type { ConversationState } from '../../src/domain/conversation/state';
import { storableJson, storableText } from '../storable';
import { fact, type Facts } from './facts';

interface Message {
  readonly sent: Recorded<MessageSent>;
  content: string | null;
  edits: { readonly seq: number; readonly at: number; readonly version: number; content: string | null }[];
  deletedAt: number | null;
}

/** A short text for a content: two contents have the same one when JSON says that they are the same. */
export const fingerprint = (content: unknown): string =>
  createHash('sha256').update(canonicalJson(content)).digest('hex');

/** What a table gives back for a value that was stored in it, as canonical JSON. */
export const storedJson = (value: unknown): string => canonicalJson(JSON.parse(storableJson(value)));
const storedFingerprint = (content: MessageContent): string => fingerprint(JSON.parse(storableJson(content)));

/**
 * One conversation folded from its events, one by one and in memory: what the read models must say. It takes
 * the state from the plain domain code, and the rest from rules written without a thought of batches or SQL, so
 * that the two can only agree by both being right. Holds about 300 bytes per message, contents excluded.
 */
export class ConversationFold {
  private state: ConversationState | undefined;
  private activeAt = 0;
  private readonly spans: { readonly userId: string; readonly from: number; to: number | null }[] = [];
  private readonly messages = new Map<number, Message>();
  private readonly reactions = new Map<string, [string, string]>();
  private readonly delivered = new Map<string, number>();
  private readonly read = new Map<string, number>();

  /** @throws Error when the event does not follow the last one */
  add(recorded: Recorded): void {
    this.state = evolve(this.state, recorded);
    const { event, seq, at } = recorded;
    switch (event.type) {
      case 'ConversationStarted':
        for (const userId of event.memberIds) this.spans.push({ userId, from: seq, to: null });
        this.activeAt = at;
        return;
      case 'ConversationChanged':
        return;
      case 'MembershipChanged':
        this.membershipChanged(event.userId, event.change, recorded);
        return;
      case 'MessageSent':
        this.messages.set(seq, {
          sent: { ...recorded, event },
          content: storedFingerprint(event.content),
          edits: [],
          deletedAt: null,
        });
        this.activeAt = at;
        forward(this.read, event.by, seq);
        return;
      case 'MessageEdited':
        this.change(event.target, (message) => {
          const content = message.deletedAt === null ? storedFingerprint(event.content) : null;
          message.edits.push({ seq, at, version: event.version, content });
        });
        return;
      case 'MessageDeleted':
        this.change(event.target, (message) => {
          message.content = null;
          for (const edit of message.edits) edit.content = null;
          message.deletedAt ??= at;
        });
        return;
      case 'ReactionChanged': {
        const emoji = storableText(event.emoji);
        const [name, value] = fact.reaction(event.target, event.by, emoji, event.change === 'added', seq);
        this.reactions.set(name, [name, value]);
        return;
      }
      case 'MessageDelivered':
        for (const { userId, deviceId, upTo } of deliveredCursorsOf(event, this.state.members.keys()))
          forward(this.delivered, `${userId} ${deviceId}`, upTo);
        return;
      case 'MessageRead':
        for (const { userId, upTo } of readCursorsOf(event, this.state.members.keys()))
          forward(this.read, userId, upTo);
        return;
      default:
        assertNever(event);
    }
  }

  facts(): Facts {
    const { state } = this;
    if (state === undefined) return new Map();
    const { title, description, avatarFileId, settings } = state;
    return new Map([
      fact.conversation({
        kind: state.kind,
        createdAt: state.createdAt,
        activeAt: this.activeAt,
        headSeq: state.head,
        lastOrdinal: state.lastOrdinal,
        memberCount: state.members.size,
        details: storedJson({ title, description, avatarFileId, settings }),
      }),
      ...this.spans.map(({ userId, from, to }) => fact.span(userId, from, to)),
      ...this.memberFacts(state),
      ...this.messageFacts(),
      ...this.reactions.values(),
      ...[...this.delivered].map(([key, upTo]) => {
        const [userId = '', deviceId = ''] = key.split(' ');
        return fact.delivered(userId, deviceId, upTo);
      }),
      ...[...this.read].map(([userId, upTo]) => fact.read(userId, upTo)),
    ]);
  }

  private membershipChanged(userId: string, change: string, { seq, at }: Recorded): void {
    if (change === 'joined') {
      this.spans.push({ userId, from: seq, to: null });
      this.activeAt = at;
    }
    if (change === 'left' || change === 'removed') {
      const open = this.spans.find((span) => span.userId === userId && span.to === null);
      if (open !== undefined) open.to = seq;
      this.activeAt = at;
    }
  }

  private change(target: number, work: (message: Message) => void): void {
    const message = this.messages.get(target);
    if (message !== undefined) work(message);
  }

  private *memberFacts(state: ConversationState): Generator<[string, string]> {
    const live = [...this.messages].filter(([, message]) => message.deletedAt === null);
    const seqs = live.map(([seq]) => seq);
    const mentions = new Map<string, number[]>();
    for (const [seq, { sent }] of live) {
      for (const userId of new Set(sent.event.mentions)) {
        const known = mentions.get(userId);
        if (known === undefined) mentions.set(userId, [seq]);
        else known.push(seq);
      }
    }
    for (const [userId, { role, joinedAt, joinedSeq, readUpTo }] of state.members) {
      const seen = Math.max(readUpTo, joinedSeq);
      yield fact.member(userId, {
        role,
        joinedAt,
        joinedSeq,
        readUpTo,
        unread: countAfter(seqs, seen),
        mentions: countAfter(mentions.get(userId) ?? [], seen),
      });
    }
  }

  private *messageFacts(): Generator<[string, string]> {
    for (const [seq, { sent, content, edits, deletedAt }] of this.messages) {
      const { event, at } = sent;
      const { ordinal, messageId, contentHash, by: senderId } = event;
      const { forwardedFrom, mentions, expiresAt, originalAt } = event;
      const clientMessageId = storableText(event.clientMessageId);
      yield fact.message(seq, {
        ordinal,
        messageId,
        clientMessageId,
        senderId,
        at,
        content,
        replyTo: event.replyTo ?? null,
        threadOf: event.threadOf ?? null,
        extra: storedJson({ forwardedFrom, mentions, expiresAt, originalAt }),
        deletedAt,
      });
      for (const edit of edits) yield fact.edit(seq, edit.seq, edit);
      yield fact.ordinal(seq, ordinal);
      yield fact.key(senderId, clientMessageId, { seq, ordinal, messageId, contentHash, at });
    }
  }
}

function forward(cursors: Map<string, number>, key: string, upTo: number): void {
  cursors.set(key, Math.max(cursors.get(key) ?? -1, upTo));
}

/** How many of the ascending seqs lie after `seq`. */
function countAfter(seqs: readonly number[], seq: number): number {
  let low = 0;
  let high = seqs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((seqs[middle] ?? Infinity) <= seq) low = middle + 1;
    else high = middle;
  }
  return seqs.length - low;
}

import type { LoggedEvent } from '../journal';

/** A time somebody belonged to a conversation: from the joining event to the leaving one, both included. */
interface Span {
  readonly from: number;
  to: number;
}

/** What the log says of one conversation: a fold with none of the server's code in it. */
export interface FoldedConversation {
  readonly events: readonly LoggedEvent[];
  readonly spans: ReadonlyMap<string, readonly Span[]>;
  readonly readUpTo: ReadonlyMap<string, number>;
  readonly deleted: ReadonlySet<number>;
  /** What the fold itself finds wrong with the log, by invariant of FAULTS.md. */
  readonly faults: readonly { readonly invariant: number; readonly text: string }[];
}

class Fold {
  readonly spans = new Map<string, Span[]>();
  readonly readUpTo = new Map<string, number>();
  readonly deleted = new Set<number>();
  readonly faults: { invariant: number; text: string }[] = [];
  private readonly delivered = new Map<string, number>();
  private readonly keys = new Map<string, number>();
  private messages = 0;

  constructor(readonly events: readonly LoggedEvent[]) {
    for (const [n, event] of events.entries()) this.take(event, n);
  }

  private take(event: LoggedEvent, n: number): void {
    const { seq, data, type } = event;
    if (seq !== n) this.fault(4, event, `stands where ${n} belongs`);
    const by = String(data['by']);
    if (type === 'ConversationStarted') {
      for (const id of data['memberIds'] as string[]) this.spans.set(id, [{ from: seq, to: Infinity }]);
    } else if (type === 'MembershipChanged') {
      this.membershipChanged(event);
    } else if (type === 'MessageDelivered' || type === 'MessageRead') {
      this.cursorsMoved(event);
    } else {
      if (!this.isMember(by)) this.fault(15, event, `is by ${by}, who was no member then`);
      if (type === 'MessageSent') this.messageSent(event, by);
      if (type === 'MessageDeleted') this.deleted.add(Number(data['target']));
    }
  }

  private membershipChanged({ seq, data }: LoggedEvent): void {
    const userId = String(data['userId']);
    const spans = this.spans.get(userId) ?? [];
    this.spans.set(userId, spans);
    if (data['change'] === 'joined') {
      spans.push({ from: seq, to: Infinity });
      this.readUpTo.delete(userId);
    }
    const last = spans.at(-1);
    if ((data['change'] === 'left' || data['change'] === 'removed') && last !== undefined) last.to = seq;
  }

  private messageSent(event: LoggedEvent, by: string): void {
    const { seq, data } = event;
    this.messages += 1;
    if (data['ordinal'] !== this.messages) {
      this.fault(4, event, `has the ordinal ${String(data['ordinal'])}, not ${this.messages}`);
    }
    const key = `${by}/${String(data['clientMessageId'])}`;
    const earlier = this.keys.get(key);
    if (earlier !== undefined) this.fault(5, event, `is the message ${key} that stands at ${earlier}, too`);
    else this.keys.set(key, seq);
    this.readUpTo.set(by, seq);
  }

  private cursorsMoved(event: LoggedEvent): void {
    const cursors = event.data['cursors'] as { userId: string; deviceId?: string; upTo: number }[];
    for (const { userId, deviceId, upTo } of cursors) {
      const known = deviceId === undefined ? this.readUpTo : this.delivered;
      const key = deviceId === undefined ? userId : `${userId}/${deviceId}`;
      const before = known.get(key) ?? -1;
      if (upTo <= before) this.fault(9, event, `moves the cursor of ${key} from ${before} to ${upTo}`);
      if (upTo >= event.seq) this.fault(9, event, `moves the cursor of ${key} beyond the head, to ${upTo}`);
      known.set(key, Math.max(upTo, before));
    }
  }

  private isMember(userId: string): boolean {
    return this.spans.get(userId)?.at(-1)?.to === Infinity;
  }

  private fault(invariant: number, { conversationId, seq, type }: LoggedEvent, what: string): void {
    this.faults.push({ invariant, text: `${type} at ${seq} of ${conversationId} ${what}` });
  }
}

/** @param events of one stream, in the order in which the store gives them */
export const fold = (events: readonly LoggedEvent[]): FoldedConversation => new Fold(events);

/** May this user have the event at `seq`? Conversations of chaos runs all have `historyVisibility: joined`. */
export const maySee = ({ spans }: FoldedConversation, userId: string, seq: number): boolean =>
  (spans.get(userId) ?? []).some(({ from, to }) => from <= seq && seq <= to);

/** Receipts of larger groups go to those concerned alone, in forms of their own: nobody else misses them. */
const isForAll = ({ type, data }: LoggedEvent): boolean =>
  (type !== 'MessageDelivered' && type !== 'MessageRead') || data['audience'] === 'everyone';

/** Seqs in (after, upTo] that a device of this user must have. */
export function due(folded: FoldedConversation, userId: string, after: number, upTo: number): number[] {
  const seqs: number[] = [];
  for (let seq = Math.max(after + 1, 0); seq <= upTo && seq < folded.events.length; seq++) {
    const event = folded.events[seq];
    if (event !== undefined && isForAll(event) && maySee(folded, userId, seq)) seqs.push(seq);
  }
  return seqs;
}

/** Messages after the reader's cursor and joining that still stand: the definition of the unread count. */
export function unreadOf({ events, spans, readUpTo, deleted }: FoldedConversation, userId: string): number {
  const joined = spans.get(userId)?.at(-1)?.from ?? Infinity;
  const after = Math.max(joined, readUpTo.get(userId) ?? -1);
  return events.filter(({ type, seq }) => type === 'MessageSent' && seq > after && !deleted.has(seq)).length;
}

/** Messages in the times somebody was a member. */
export const historyOf = (folded: FoldedConversation, userId: string): number[] =>
  folded.events
    .filter(({ type, seq }) => type === 'MessageSent' && maySee(folded, userId, seq))
    .map(({ seq }) => seq);

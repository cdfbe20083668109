import type { ConversationState } from '../domain/conversation/state';
import type { Seq, UserId } from '../kernel/ids';

export interface ReceiptCount {
  /** Members of whom at least one device has the message; who has read it has it. */
  readonly delivered: number;
  readonly read: number;
  readonly members: number;
}

/** How many members have received and read a message: sorted once, then a search for each message asked about. */
export class ReceiptCounts {
  private readonly delivered: Float64Array;
  private readonly read: Float64Array;

  constructor(state: ConversationState) {
    const furthest = new Map<UserId, number>();
    for (const [userId, { readUpTo }] of state.members) furthest.set(userId, readUpTo);
    this.read = Float64Array.from(furthest.values()).sort();
    for (const [key, upTo] of state.delivered.entries()) {
      const userId = key.slice(0, key.indexOf('/')) as UserId;
      const known = furthest.get(userId);
      if (known !== undefined && upTo > known) furthest.set(userId, upTo);
    }
    this.delivered = Float64Array.from(furthest.values()).sort();
  }

  /** The author counts, too: whoever sends has read. */
  of(seq: Seq): ReceiptCount {
    const members = this.read.length;
    return { delivered: atLeast(this.delivered, seq), read: atLeast(this.read, seq), members };
  }
}

/** How many of the ascending numbers are `least` or more. */
function atLeast(ascending: Float64Array, least: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] as number) < least) low = middle + 1;
    else high = middle;
  }
  return ascending.length - low;
}

import type { ConversationState } from '../domain/conversation/state';
import type { Seq } from '../kernel/ids';

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
    this.read = new Float64Array(state.members.size);
    this.delivered = new Float64Array(state.members.size);
    let place = 0;
    for (const { readUpTo, deliveredUpTo } of state.members.values()) {
      this.read[place] = readUpTo;
      this.delivered[place++] = Math.max(readUpTo, deliveredUpTo);
    }
    this.read.sort();
    this.delivered.sort();
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

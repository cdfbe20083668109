import { Injectable } from '@nestjs/common';
import { fromStored } from '../domain/conversation/codec';
import type { Recorded } from '../domain/conversation/events';
import { conversationStream } from '../domain/conversation/streams';
import { mayRead, seenBy } from '../domain/conversation/visibility';
import { asSeq, toRevision, toSeq, type ConversationId, type Seq, type UserId } from '../kernel/ids';
import type { Access } from './access';
import { EventLog, type LogEvent } from './ports/event-log';
import { StoreUnavailable } from './ports/store-unavailable';

/** Events of one read of the stream. */
const PAGE_EVENTS = 512;
/** Events that one query looks at: receipts of large groups are mostly somebody else's. */
export const EVENTS_SCAN_MAX = 8_192;

export interface EventsPage {
  readonly items: readonly Recorded[];
  readonly hasMore: boolean;
  /** Seq to continue after, when `hasMore`. */
  readonly next?: Seq;
}

export interface EventsRequest {
  readonly userId: UserId;
  readonly conversationId: ConversationId;
  readonly access: Access;
  /** The first seq wanted. */
  readonly from: Seq;
  readonly limit: number;
}

/** Reads a conversation's events from the log itself, only those that this user may see. */
@Injectable()
export class VisibleEvents {
  constructor(private readonly log: EventLog) {}

  /**
   * @returns 'truncated' when some of the events asked for are no longer in the log; 'behind' when the read model
   * knows memberships only up to so long ago that finding out about later ones would take too long
   * @throws EventLogUnavailable, StoreUnavailable
   */
  async page(request: EventsRequest): Promise<EventsPage | 'truncated' | 'behind'> {
    const scan = new Scan(request);
    while (!scan.isOver) {
      const options = { from: toRevision(asSeq(scan.next)), limit: PAGE_EVENTS };
      const read = await this.log.readStream(conversationStream(request.conversationId), options);
      if (read.kind !== 'events') return { items: [], hasMore: false };
      if (read.truncatedBefore !== undefined) return 'truncated';
      scan.take(read.events, read.more);
    }
    return scan.result();
  }
}

class Scan {
  /** The next seq to look at. */
  next: number;
  isOver = false;
  private readonly items: Recorded[] = [];
  private looked = 0;
  private hasMore = false;
  private isMember: boolean;

  constructor(private readonly request: EventsRequest) {
    const { access, from } = request;
    this.isMember = access.isMember;
    // What came after the read model's last word is looked at from there on, for it may end one's membership.
    this.next = this.skipTo(Math.min(from, access.knownUpTo + 1));
  }

  take(events: readonly LogEvent[], more: boolean): void {
    for (const stored of events) {
      if (toSeq(stored.revision) < this.next) continue;
      if (this.isOver || this.isFull() || !this.look(stored)) {
        this.hasMore = this.isOver = true;
        return;
      }
    }
    if (!more) this.isOver = true;
  }

  result(): EventsPage | 'behind' {
    const { items, hasMore, next } = this;
    if (!hasMore) return { items, hasMore };
    const last = next - 1;
    return last < this.request.from ? 'behind' : { items, hasMore, next: asSeq(last) };
  }

  private isFull(): boolean {
    return this.items.length >= this.request.limit || this.looked >= EVENTS_SCAN_MAX;
  }

  /** False: what this user may see from here on is not known yet. */
  private look(stored: LogEvent): boolean {
    const { conversationId, userId, from } = this.request;
    const seq = toSeq(stored.revision);
    const recorded = fromStored(conversationId, { ...stored, seq });
    if (recorded === undefined) {
      throw new StoreUnavailable(`conversation ${conversationId}: unknown event type ${stored.type}`);
    }
    const visibility = this.visibility(recorded);
    if (visibility === 'unknown') return false;
    const seen = visibility === 'visible' && seq >= from ? seenBy(recorded, userId) : undefined;
    if (seen !== undefined) this.items.push(seen);
    this.looked++;
    this.next = this.skipTo(seq + 1);
    return true;
  }

  private visibility({ seq, event }: Recorded): 'visible' | 'hidden' | 'unknown' {
    const { access, userId } = this.request;
    if (seq <= access.knownUpTo) return mayRead(access.ranges, seq) ? 'visible' : 'hidden';
    const wasMember = this.isMember;
    if (event.type === 'MembershipChanged' && event.userId === userId) {
      // Coming back may open what came before: the read model works that out, in a moment.
      if (event.change === 'joined') return wasMember ? 'visible' : 'unknown';
      if (event.change === 'left' || event.change === 'removed') this.isMember = false;
    }
    return wasMember ? 'visible' : 'hidden';
  }

  /** The first seq from `seq` on that is worth looking at. */
  private skipTo(seq: number): number {
    const { ranges, knownUpTo } = this.request.access;
    if (seq > knownUpTo || mayRead(ranges, asSeq(seq))) return seq;
    const later = ranges.find(({ from }) => from > seq);
    return Math.min(later?.from ?? knownUpTo + 1, knownUpTo + 1);
  }
}

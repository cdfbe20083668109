import type { HistoryVisibility, Recorded } from '../domain/conversation/events';
import { seenBy } from '../domain/conversation/visibility';
import type { Seq, UserId } from '../kernel/ids';

/**
 * `visibleRanges`, found out on the way: walks a conversation backwards from a point at which it is known whether
 * the user is a member, and takes every joining and leaving of the user back. A spec holds the two equal.
 */
export class MembershipWalk {
  private isMember: boolean;
  /** The newest time of membership has been reached; with `shared`, all before it is visible, too. */
  private reached: boolean;
  /** Where the user, who is no member at the starting point, left last; undefined: not met so far. */
  leftAt: Seq | undefined;

  constructor(
    private readonly userId: UserId,
    isMemberNow: boolean,
    private readonly historyVisibility: HistoryVisibility,
  ) {
    this.isMember = this.reached = isMemberNow;
  }

  /** The event as the user may see it, or undefined. To be called for every event, newest first. */
  see(recorded: Recorded): Recorded | undefined {
    const { event, seq } = recorded;
    let ends = false;
    if (event.type === 'MembershipChanged' && event.userId === this.userId) {
      if (event.change === 'left' || event.change === 'removed') {
        ends = this.isMember = true;
        if (!this.reached) this.leftAt = seq;
        this.reached = true;
      } else if (event.change === 'joined') {
        this.isMember = false;
        // The joining itself is the first thing one sees.
        ends = true;
      }
    }
    const visible = this.isMember || ends || (this.reached && this.historyVisibility === 'shared');
    return visible ? seenBy(recorded, this.userId) : undefined;
  }
}

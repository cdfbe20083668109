import type { Audience } from '../domain/conversation/audience';
import type { Recorded } from '../domain/conversation/events';
import { seenBy } from '../domain/conversation/visibility';
import type { UserId } from '../kernel/ids';

/** Groups with more members than this are very large: live events go to the devices that focus them. */
export const FOCUS_MEMBERS_MAX = 1_000;

export const isVeryLarge = ({ members }: Audience): boolean => members.size > FOCUS_MEMBERS_MAX;

/**
 * What an event means to one user alone, so that even a device that does not focus a very large group must know of
 * it at once. Joining is the first thing one sees of it, so nothing can have been left out before. After a leaving
 * nothing more comes, and one's own reading clears the count on all one's devices: but events before may have been
 * withheld, and a seq pushed after them would hide that they are missing.
 */
export function concernOf({ event }: Recorded): Concern | undefined {
  if (event.type === 'MessageRead') return { of: 'everybody', how: 'resync' };
  if (event.type !== 'MembershipChanged') return undefined;
  return { of: event.userId, how: event.change === 'joined' ? 'push' : 'resync' };
}

export interface Concern {
  readonly of: UserId | 'everybody';
  readonly how: 'push' | 'resync';
}

export const concernsAlone = (concern: Concern | undefined, userId: UserId): Concern['how'] | undefined =>
  concern?.of === userId || concern?.of === 'everybody' ? concern.how : undefined;

/** One form of an event, and who gets it in this form. */
interface Variant {
  readonly recorded: Recorded;
  readonly userIds: readonly UserId[];
}

/**
 * Who of an event's receivers gets which form of it: nearly always all of them the whole event, which is then
 * encoded once. Receipts of larger groups are cut to each receiver's own cursors.
 */
export function plan(
  recorded: Recorded,
  receivers: Iterable<UserId>,
  isConnected: (userId: UserId) => boolean,
): readonly Variant[] {
  const whole: UserId[] = [];
  const variants: Variant[] = [];
  for (const userId of receivers) {
    if (!isConnected(userId)) continue;
    const seen = seenBy(recorded, userId);
    if (seen === recorded) whole.push(userId);
    else if (seen !== undefined) variants.push({ recorded: seen, userIds: [userId] });
  }
  if (whole.length > 0) variants.push({ recorded, userIds: whole });
  return variants;
}

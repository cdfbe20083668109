import type { Recorded } from '../domain/conversation/events';
import { seenBy } from '../domain/conversation/visibility';
import type { UserId } from '../kernel/ids';

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

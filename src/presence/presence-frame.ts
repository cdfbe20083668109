import type { PresenceView } from '../application/ports/presence';
import { toIso, type UserId } from '../kernel/ids';
import type { ServerFrameData } from '../protocol/frames';

/**
 * Presence as a device sees it (PROTOCOL.md section 2).
 *
 * @param hiding whoever is among them shows nobody when they were last here
 */
export function toPresenceDto(
  { userId, status, lastSeenAt, customStatus }: PresenceView,
  hiding: ReadonlySet<UserId>,
): ServerFrameData<'presence'> {
  return {
    userId,
    status,
    lastSeenAt: lastSeenAt === undefined || hiding.has(userId) ? null : toIso(lastSeenAt),
    ...(customStatus === undefined ? {} : { customStatus }),
  };
}

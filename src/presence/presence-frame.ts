import type { PresenceView } from '../application/ports/presence';
import { toIso } from '../kernel/ids';
import type { ServerFrameData } from '../protocol/frames';

/** Presence as a device sees it (PROTOCOL.md section 2). */
export function toPresenceDto(view: PresenceView): ServerFrameData<'presence'> {
  const { userId, status, lastSeenAt, customStatus } = view;
  return {
    userId,
    status,
    lastSeenAt: lastSeenAt === undefined ? null : toIso(lastSeenAt),
    ...(customStatus === undefined ? {} : { customStatus }),
  };
}

import type { Audience } from '../domain/conversation/audience';
import type { Recorded } from '../domain/conversation/events';
import type { UserId } from '../kernel/ids';
import type { Position } from '../kernel/position';

interface Origin {
  readonly position: Position;
  /** Of what brought the event here, when that is traced. */
  readonly traceparent: string | undefined;
}

/** Where events go whose receivers are known: to the sockets of this node, or, from a relay, to the nodes that have them. */
export interface Outlet {
  /** Nobody is there to have anything. */
  readonly isIdle: boolean;
  /** @param audience as of the event */
  deliver(recorded: Recorded, receivers: Iterable<UserId>, audience: Audience, origin: Origin): void;
}

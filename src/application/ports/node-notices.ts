import type { DeviceId, UserId } from '../../kernel/ids';

/** What one node has to tell all others. Lost notices are lost: whoever sends one has a slower way as well. */
export interface NodeNotice {
  readonly kind: 'signOut';
  readonly userId: UserId;
  readonly deviceId?: DeviceId;
  readonly signInId?: string;
}

export abstract class NodeNotices {
  /** Not to this node itself. Never throws, never waits. */
  abstract tellOthers(notice: NodeNotice): void;
  /** @returns a function that ends it */
  abstract subscribe(listener: (notice: NodeNotice) => void): () => void;
}

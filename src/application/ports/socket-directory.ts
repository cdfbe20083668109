import type { SessionKey } from './presence';

/** An entry that is not refreshed for this long belongs to a node that died: three heartbeats. */
export const SOCKET_ENTRY_TTL_MS = 75_000;

export type SocketEntry =
  | 'registered'
  /** The user has `limits.socketsPerUserMax` sockets of other devices on all nodes together. */
  | 'tooMany'
  /** The device has a newer socket somewhere: this one is to be closed (4009). */
  | 'displaced';

/**
 * Which sockets a user has, over all nodes. A hint like presence: a directory that cannot be asked lets everybody
 * in, and each node goes on by what it knows itself.
 */
export abstract class SocketDirectory {
  /**
   * Before the socket goes live. A socket of the same device that was opened earlier is displaced, wherever it is.
   * Never rejects. @param openMs for how long the socket has been open
   */
  abstract register(session: SessionKey, openMs: number): Promise<SocketEntry>;
  /** With every heartbeat; makes the entry anew if it was lost. Never `tooMany`, never rejects. */
  abstract refresh(session: SessionKey): Promise<SocketEntry>;
  /** Idempotent; never rejects. */
  abstract unregister(session: SessionKey): Promise<void>;
  /** Sockets of this node that a newer one of the same device displaced. @returns a function that ends it */
  abstract onDisplaced(listener: (session: SessionKey) => void): () => void;
}

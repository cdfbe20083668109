import { Inject, Injectable } from '@nestjs/common';
import type { SignedOut } from '../application/ports/socket-control';
import { CONFIG, type Config } from '../config/config';
import type { UserId } from '../kernel/ids';
import type { Connection } from './connection';

type Registration =
  | 'registered'
  /** The user already has `limits.socketsPerUserMax` sockets here: answer `rate_limited` and close. */
  | 'tooMany'
  /** The device has a socket here that was opened later: this one is to be closed. */
  | 'displaced';

const NONE: readonly Connection[] = [];

/**
 * Who has sockets on this node. Knows users and their connections, nothing of conversations: an idle socket
 * costs the same whether its user is in one conversation or in ten thousand.
 */
@Injectable()
export class Hub {
  private readonly byUser = new Map<UserId, Connection[]>();
  /** The sign-in (refresh-token family) each connection was authenticated by, so that ending it ends them. */
  private readonly signIns = new Map<Connection, string>();
  private tellUser: (userId: UserId, isHere: boolean) => void = () => undefined;

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /** Told of a user's first connection here, and of the end of the last. There is one listener. */
  onUsers(listener: (userId: UserId, isHere: boolean) => void): void {
    this.tellUser = listener;
  }

  /** Number of connections. */
  get size(): number {
    return this.signIns.size;
  }

  /**
   * From now on the connection receives pushes. A device connects once, and the connection that was opened last wins,
   * not the one that authenticated last: the `auth` of one that its device has given up may arrive late.
   */
  register(connection: Connection, signInId: string): Registration {
    if (this.signIns.has(connection)) return 'registered';
    const mine = this.byUser.get(connection.userId) ?? [];
    const replaced = mine.filter(({ deviceId }) => deviceId === connection.deviceId);
    if (this.hasLater(connection)) return 'displaced';
    if (mine.length - replaced.length >= this.config.limits.socketsPerUserMax) return 'tooMany';
    this.byUser.set(connection.userId, [...mine.filter((other) => !replaced.includes(other)), connection]);
    if (mine.length === 0) this.tellUser(connection.userId, true);
    this.signIns.set(connection, signInId);
    // Forgotten before they are closed: a close handler that unregisters must not find the newcomer.
    for (const older of replaced) this.signIns.delete(older);
    for (const older of replaced) older.close('signedOut');
    return 'registered';
  }

  /** Idempotent; a connection that was replaced is no longer known and changes nothing. */
  unregister(connection: Connection): void {
    if (!this.signIns.delete(connection)) return;
    const rest = this.connectionsOf(connection.userId).filter((other) => other !== connection);
    if (rest.length === 0) {
      this.byUser.delete(connection.userId);
      this.tellUser(connection.userId, false);
    } else this.byUser.set(connection.userId, rest);
  }

  /** Treat as frozen: the list is replaced, never changed, when connections come and go. */
  connectionsOf(userId: UserId): readonly Connection[] {
    return this.byUser.get(userId) ?? NONE;
  }

  /** Whether the device has a connection here that was opened after this one. */
  hasLater({ userId, deviceId, openedAt }: Pick<Connection, 'userId' | 'deviceId' | 'openedAt'>): boolean {
    const mine = this.connectionsOf(userId);
    return mine.some((other) => other.deviceId === deviceId && other.openedAt > openedAt);
  }

  isConnected(userId: UserId): boolean {
    return this.byUser.has(userId);
  }

  has(connection: Connection): boolean {
    return this.signIns.has(connection);
  }

  users(): IterableIterator<UserId> {
    return this.byUser.keys();
  }

  signOut(userId: UserId, which: SignedOut): void {
    for (const connection of this.connectionsOf(userId)) {
      if (which.deviceId !== undefined && which.deviceId !== connection.deviceId) continue;
      if (which.signInId !== undefined && which.signInId !== this.signIns.get(connection)) continue;
      this.unregister(connection);
      connection.close('signedOut');
    }
  }

  /** Closes every connection of this node, as a drain does. */
  closeAll(reason: Parameters<Connection['close']>[0]): void {
    for (const connection of [...this.signIns.keys()]) {
      this.unregister(connection);
      connection.close(reason);
    }
  }
}

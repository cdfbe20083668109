import type { DeviceId, UserId } from '../../kernel/ids';

/** Which sockets of a user: those of a device, those of a sign-in, or (with neither) all. */
export interface SignedOut {
  readonly deviceId?: DeviceId;
  readonly signInId?: string;
}

/** Closes sockets from outside the gateway (close code 4009): logout, a deleted device. */
export abstract class SocketControl {
  /** On this node at once; on the others as soon as they hear of it. */
  abstract signOut(userId: UserId, which: SignedOut): void;
  /** On this node alone. */
  abstract signOutHere(userId: UserId, which: SignedOut): void;
}

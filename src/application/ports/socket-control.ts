import type { DeviceId, UserId } from '../../kernel/ids';

/** Closes sockets from outside the gateway (close code 4009): logout, a deleted device. */
export abstract class SocketControl {
  abstract signOut(userId: UserId, which: { readonly deviceId?: DeviceId; readonly signInId?: string }): void;
}

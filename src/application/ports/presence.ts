import type { DeviceId, Millis, UserId } from '../../kernel/ids';

/** A device that nobody has touched for this long is `away`, unless it says otherwise. */
export const PRESENCE_IDLE_MS = 300_000;
/** A session that says nothing for this long is gone. */
export const PRESENCE_TTL_MS = 60_000;
/** How long a user whose last session left still looks present, so that a reconnect does not flap. */
export const PRESENCE_GRACE_MS = 10_000;

export type PresenceStatus = 'online' | 'away' | 'busy' | 'offline';
/** What a session may say of itself; `invisible` looks like `offline` to everybody else. */
export type OwnStatus = 'online' | 'away' | 'busy' | 'invisible';

export interface PresenceView {
  readonly userId: UserId;
  readonly status: PresenceStatus;
  readonly lastSeenAt: Millis | undefined;
  readonly customStatus?: string;
}

/** `idle`: nobody has touched the device for PRESENCE_IDLE_MS; an `online` session then counts as `away`. */
export type Activity = 'active' | 'idle';

export interface SessionKey {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly sessionId: string;
}

/** Hints only (DESIGN.md section 1): every entry expires by itself, nothing waits for this on the message path. */
export abstract class PresenceStore {
  /**
   * Called at connect and with every heartbeat; the session counts as present for PRESENCE_TTL_MS. A new one begins
   * with the status of the last one of its device, if that still counts, or left within PRESENCE_GRACE_MS.
   */
  abstract beat(session: SessionKey, activity?: Activity): Promise<void>;
  abstract set(session: SessionKey, status: OwnStatus, customStatus?: string): Promise<void>;
  /** The session ended; `offline` is announced PRESENCE_GRACE_MS later unless another one is there. */
  abstract leave(session: SessionKey): Promise<void>;
  abstract get(userIds: readonly UserId[]): Promise<readonly PresenceView[]>;
  /**
   * From now on changes of these users are told to listeners of this node. Idempotent. May reject when the store is
   * down: they are followed all the same, as soon as it is back.
   */
  abstract follow(userIds: readonly UserId[]): Promise<void>;
  abstract unfollow(userIds: readonly UserId[]): void;
  /**
   * Changes of followed users (and perhaps of others), as they become visible to others. After the store was away
   * followed users are told again as they are then. @returns a function that ends it
   */
  abstract onChange(listener: (presence: PresenceView) => void): () => void;
}

/** Who has chosen that nobody is told when they were last here. */
export abstract class LastSeenPrivacy {
  /** Those of them who hide it; all of them while nobody can say. Never rejects. */
  abstract hiding(userIds: readonly UserId[]): Promise<ReadonlySet<UserId>>;
}

/** Ephemeral frames between nodes: typing, call signals. Lost ones are lost. */
export interface EphemeralFrame {
  /** Receivers; each node sends to those of them it has sockets of. */
  readonly userIds: readonly UserId[];
  readonly exceptSessionId?: string;
  readonly onlyDeviceId?: DeviceId;
  readonly bytes: Buffer;
}

export abstract class EphemeralBus {
  abstract publish(frame: EphemeralFrame): void;
  /** @returns a function that ends it */
  abstract subscribe(listener: (frame: EphemeralFrame) => void): () => void;
}

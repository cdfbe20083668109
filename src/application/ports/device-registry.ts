import type { DeviceId, UserId } from '../../kernel/ids';

export interface DeviceSighting {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly signInId: string;
  readonly name?: string;
  readonly platform?: string;
}

/** Remembers which devices a user connects; best effort, never on the message path. */
export abstract class DeviceRegistry {
  abstract seen(sighting: DeviceSighting): Promise<void>;
}

import type { DeviceView } from '../identity/devices';
import type { UserView } from '../identity/user';
import { toIso } from '../kernel/ids';
import type { DeviceDto, OwnUserDto } from '../protocol/rest';
import type { UserDto } from '../protocol/schemas';

/** A person as others see them. */
export function toUserDto(user: UserView): UserDto {
  return {
    id: user.id,
    username: user.username,
    displayName: user.displayName,
    ...(user.avatarFileId === undefined ? {} : { avatarFileId: user.avatarFileId }),
    ...(user.statusMessage === undefined ? {} : { statusMessage: user.statusMessage }),
    ...(user.lastSeenAt === undefined ? {} : { lastSeenAt: toIso(user.lastSeenAt) }),
  };
}

/** A person as they see themselves. */
export const toOwnUserDto = (user: UserView): OwnUserDto => ({
  ...toUserDto(user),
  privacy: { lastSeen: user.privacy.lastSeen },
});

export function toDeviceDto(device: DeviceView, signInId: string): DeviceDto {
  return {
    id: device.id,
    ...(device.name === undefined ? {} : { name: device.name }),
    ...(device.platform === undefined ? {} : { platform: device.platform }),
    current: device.signInId === signInId,
    createdAt: toIso(device.createdAt),
    lastSeenAt: toIso(device.lastSeenAt),
  };
}

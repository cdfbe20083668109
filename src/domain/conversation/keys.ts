import type { ClientMessageId, DeviceId, Seq, UserId } from '../../kernel/ids';

/** Keys of the state's maps. Ids of users hold no slash, so that each key is read one way only. */
export const dedupeKey = (by: UserId, clientMessageId: ClientMessageId): string => `${by}/${clientMessageId}`;

export const deliveredKey = (userId: UserId, deviceId: DeviceId): string => `${userId}/${deviceId}`;

export const reactionKey = (target: Seq, userId: UserId, emoji: string): string =>
  `${target}/${userId}/${emoji}`;

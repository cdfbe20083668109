import { fromIso, asUserId, type Millis, type UserId } from '../kernel/ids';

/** Who may see when a user was last here. */
export interface Privacy {
  readonly lastSeen: 'everyone' | 'nobody';
}

export const DEFAULT_PRIVACY: Privacy = { lastSeen: 'everyone' };

/** A person, as the identity store knows them; without anything secret. */
export interface UserView {
  readonly id: UserId;
  readonly username: string;
  readonly displayName: string;
  readonly avatarFileId: string | undefined;
  readonly statusMessage: string | undefined;
  /** undefined: never, or not for the one who asks. */
  readonly lastSeenAt: Millis | undefined;
  readonly privacy: Privacy;
}

export interface UserRow {
  readonly id: string;
  readonly username: string;
  readonly display_name: string;
  readonly avatar_file_id: string | null;
  readonly status_message: string | null;
  readonly last_seen_at: Date | null;
  readonly privacy: Partial<Privacy>;
}

export const USER_COLUMNS =
  'id, username, display_name, avatar_file_id, status_message, last_seen_at, privacy';

/** One person per spelling: `Ann` and `ann` are the same user name. */
export const usernameKey = (username: string): string => username.toLowerCase();

/** @param viewer whoever asks: privacy settings do not hide a user from themselves */
export function toUserView(row: UserRow, viewer: UserId): UserView {
  const privacy = { ...DEFAULT_PRIVACY, ...row.privacy };
  const seen = row.last_seen_at === null ? undefined : fromIso(row.last_seen_at.toISOString());
  return {
    id: asUserId(row.id),
    username: row.username,
    displayName: row.display_name,
    avatarFileId: row.avatar_file_id ?? undefined,
    statusMessage: row.status_message ?? undefined,
    lastSeenAt: row.id === viewer || privacy.lastSeen === 'everyone' ? seen : undefined,
    privacy,
  };
}

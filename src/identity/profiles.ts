import { Injectable } from '@nestjs/common';
import { Database } from '../infrastructure/postgres/database';
import type { UserId } from '../kernel/ids';
import { toUserView, USER_COLUMNS, usernameKey, type Privacy, type UserRow, type UserView } from './user';

export interface ProfileChange {
  readonly username?: string;
  readonly displayName?: string;
  /** null takes it away. */
  readonly avatarFileId?: string | null;
  readonly statusMessage?: string | null;
  readonly privacy?: Partial<Privacy>;
}

export interface UserPage {
  readonly items: readonly UserView[];
  readonly hasMore: boolean;
  /** Opaque; present when `hasMore`. */
  readonly nextCursor?: string;
}

const CURSOR_PREFIX = 'u1.';

/** What people show of themselves. */
@Injectable()
export class Profiles {
  constructor(private readonly database: Database) {}

  /** undefined: there is no such user. */
  async get(id: UserId, viewer: UserId): Promise<UserView | undefined> {
    const [row] = await this.database.query<UserRow>(`SELECT ${USER_COLUMNS} FROM app.users WHERE id = $1`, [
      id,
    ]);
    return row === undefined ? undefined : toUserView(row, viewer);
  }

  /** Fields not named stay as they are. undefined: there is no such user. */
  async change(id: UserId, change: ProfileChange): Promise<UserView | 'usernameTaken' | undefined> {
    try {
      const row = await this.update(id, change);
      return row === undefined ? undefined : toUserView(row, id);
    } catch (error) {
      if (isUniqueViolation(error)) return 'usernameTaken';
      throw error;
    }
  }

  /**
   * People whose user name begins with `prefix`, whatever its case, in the order of user names.
   * @param cursor a `nextCursor` of the same search
   * @returns 'badCursor' for any other text
   */
  async search(
    prefix: string,
    viewer: UserId,
    options: { readonly limit: number; readonly cursor?: string },
  ): Promise<UserPage | 'badCursor'> {
    const key = usernameKey(prefix);
    const after = options.cursor === undefined ? '' : decodeCursor(options.cursor);
    if (after === undefined || !(after === '' || after.startsWith(key))) return 'badCursor';
    const rows = await this.database.query<UserRow>(
      `SELECT ${USER_COLUMNS} FROM app.users WHERE username_key LIKE $1 AND username_key > $2
       ORDER BY username_key LIMIT $3`,
      [`${key.replace(/[\\%_]/g, '\\$&')}%`, after, options.limit + 1],
    );
    const items = rows.slice(0, options.limit).map((row) => toUserView(row, viewer));
    const last = items.at(-1);
    if (rows.length <= options.limit || last === undefined) return { items, hasMore: false };
    return { items, hasMore: true, nextCursor: encodeCursor(usernameKey(last.username)) };
  }

  private async update(id: UserId, change: ProfileChange): Promise<UserRow | undefined> {
    const { avatarFileId, statusMessage } = change;
    const [row] = await this.database.query<UserRow>(
      `UPDATE app.users SET
         display_name = coalesce($2, display_name),
         username = coalesce($8, username),
         username_key = coalesce($9, username_key),
         avatar_file_id = CASE WHEN $3 THEN $4 ELSE avatar_file_id END,
         status_message = CASE WHEN $5 THEN $6 ELSE status_message END,
         privacy = privacy || $7::jsonb
       WHERE id = $1 RETURNING ${USER_COLUMNS}`,
      [
        id,
        change.displayName ?? null,
        avatarFileId !== undefined,
        avatarFileId ?? null,
        statusMessage !== undefined,
        statusMessage ?? null,
        JSON.stringify(change.privacy ?? {}),
        change.username ?? null,
        change.username === undefined ? null : usernameKey(change.username),
      ],
    );
    return row;
  }
}

const UNIQUE_VIOLATION = '23505';
const isUniqueViolation = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION;

const encodeCursor = (key: string): string => CURSOR_PREFIX + Buffer.from(key).toString('base64url');

function decodeCursor(cursor: string): string | undefined {
  if (!cursor.startsWith(CURSOR_PREFIX)) return undefined;
  const key = Buffer.from(cursor.slice(CURSOR_PREFIX.length), 'base64url').toString();
  // A cut or altered cursor does not come out the same when it is written again.
  return key !== '' && !key.includes('\u0000') && encodeCursor(key) === cursor ? key : undefined;
}

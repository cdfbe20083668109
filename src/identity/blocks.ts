import { Injectable } from '@nestjs/common';
import { Database } from '../infrastructure/postgres/database';
import { Clock } from '../kernel/clock';
import { asUserId, type UserId } from '../kernel/ids';
import { toUserView, USER_COLUMNS, type UserRow, type UserView } from './user';

export interface BlockPage {
  readonly items: readonly UserView[];
  readonly hasMore: boolean;
  /** The last user of the page, to continue after. */
  readonly next?: UserId;
}

/** Whom a user does not want to hear from. What it means for a conversation is decided there, in the log. */
@Injectable()
export class Blocks {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Idempotent. Both must exist. */
  async add(userId: UserId, blockedId: UserId): Promise<void> {
    await this.database.query(
      `INSERT INTO app.blocks (user_id, blocked_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
      [userId, blockedId, new Date(this.clock.now())],
    );
  }

  /** Idempotent. */
  async remove(userId: UserId, blockedId: UserId): Promise<void> {
    await this.database.query('DELETE FROM app.blocks WHERE user_id = $1 AND blocked_id = $2', [
      userId,
      blockedId,
    ]);
  }

  /** In the order of user ids. */
  async list(
    userId: UserId,
    options: { readonly limit: number; readonly after?: UserId },
  ): Promise<BlockPage> {
    const rows = await this.database.query<UserRow>(
      `SELECT ${USER_COLUMNS} FROM app.users WHERE id IN (
         SELECT blocked_id FROM app.blocks WHERE user_id = $1 AND ($2::uuid IS NULL OR blocked_id > $2))
       ORDER BY id LIMIT $3`,
      [userId, options.after ?? null, options.limit + 1],
    );
    const items = rows.slice(0, options.limit).map((row) => toUserView(row, userId));
    const last = items.at(-1);
    if (rows.length <= options.limit || last === undefined) return { items, hasMore: false };
    return { items, hasMore: true, next: asUserId(last.id) };
  }
}

import { Injectable } from '@nestjs/common';
import { LastSeenPrivacy } from '../application/ports/presence';
import { Database } from '../infrastructure/postgres/database';
import { asUserId, type UserId } from '../kernel/ids';

/** Presence is late by this much at most because of a database that does not answer. */
export const PRIVACY_WAIT_MS_MAX = 500;

/** Asked anew each time: whoever hides it must not be shown by what a node remembers. */
@Injectable()
export class PostgresLastSeenPrivacy extends LastSeenPrivacy {
  constructor(private readonly database: Pick<Database, 'query'>) {
    super();
  }

  override async hiding(userIds: readonly UserId[]): Promise<ReadonlySet<UserId>> {
    if (userIds.length === 0) return new Set();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<ReadonlySet<UserId>>((resolve) => {
      timer = setTimeout(() => {
        resolve(new Set(userIds));
      }, PRIVACY_WAIT_MS_MAX);
    });
    const asked = this.ask(userIds).catch(() => new Set(userIds));
    const hiding = await Promise.race([asked, late]);
    clearTimeout(timer);
    return hiding;
  }

  /** Whoever is not known is told nothing of. */
  private async ask(userIds: readonly UserId[]): Promise<ReadonlySet<UserId>> {
    const rows = await this.database.query<{ id: string }>(
      `SELECT id FROM app.users
       WHERE id = ANY($1::uuid[]) AND coalesce(privacy ->> 'lastSeen', 'everyone') = 'everyone'`,
      [userIds],
      'lastSeenPrivacy.showing',
    );
    const showing = new Set(rows.map(({ id }) => asUserId(id)));
    return new Set(userIds.filter((id) => !showing.has(id)));
  }
}

import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { UserDirectory } from '../application/ports/user-directory';
import { Database } from '../infrastructure/postgres/database';
import { asUserId, type UserId } from '../kernel/ids';

/** Users known to exist: about 10 MB. Rows of app.users are never taken out, so what was true stays true. */
export const KNOWN_USERS_MAX = 100_000;

/** Who exists; remembered, so that people who were seen before can be written to while Postgres is down. */
@Injectable()
export class PostgresUserDirectory extends UserDirectory {
  private readonly known = new LRUCache<UserId, true>({ max: KNOWN_USERS_MAX });

  constructor(private readonly database: Database) {
    super();
  }

  override async existing(ids: readonly UserId[]): Promise<ReadonlySet<UserId>> {
    const unsure = ids.filter((id) => !this.known.has(id));
    if (unsure.length > 0) {
      const rows = await this.database.query<{ id: string }>(
        'SELECT id FROM app.users WHERE id = ANY($1::uuid[])',
        [unsure],
      );
      for (const { id } of rows) this.known.set(asUserId(id), true);
      const found = new Set(rows.map(({ id }) => asUserId(id)));
      const missing = new Set(unsure.filter((id) => !found.has(id)));
      return new Set(ids.filter((id) => !missing.has(id)));
    }
    return new Set(ids);
  }
}

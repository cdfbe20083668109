import type { UserId } from '../../kernel/ids';

/** What commands need to know of people; identity answers it. */
export abstract class UserDirectory {
  /** Those of `ids` (1,000 at most) that exist. Rejects when the identity store is down. */
  abstract existing(ids: readonly UserId[]): Promise<ReadonlySet<UserId>>;
}

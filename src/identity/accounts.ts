import { Injectable } from '@nestjs/common';
import { Database, type Queryable } from '../infrastructure/postgres/database';
import { Clock } from '../kernel/clock';
import { asUserId, type UserId } from '../kernel/ids';
import { uuidv7 } from '../kernel/uuid';
import { LoginAttempts } from './login-attempts';
import { PasswordHasher } from './password-hasher';
import { usernameKey } from './user';

/** Rows of one statement of an import. */
export const IMPORTED_USERS_CHUNK_MAX = 1_000;
export const USERNAME_LENGTH_MAX = 64;
const TAKEN_SUFFIX_LENGTH = 9;
/** A full queue of password hashes is served within a few seconds. */
const BUSY_RETRY_AFTER_MS = 2_000;

export type Registered =
  { readonly kind: 'registered'; readonly userId: UserId } | { readonly kind: 'usernameTaken' } | Busy;

export type LoggedIn =
  | { readonly kind: 'known'; readonly userId: UserId }
  /** No such user, or another password: never says which. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'tooManyAttempts'; readonly retryAfterMs: number }
  | Busy;

interface Busy {
  readonly kind: 'busy';
  readonly retryAfterMs: number;
}

const BUSY: Busy = { kind: 'busy', retryAfterMs: BUSY_RETRY_AFTER_MS };

export interface ImportedUser {
  /** Chosen by the importer, the same in every run. */
  readonly id: UserId;
  /** Anything of 1..64 characters; spelt apart when somebody else has it already. */
  readonly username: string;
  readonly displayName: string;
  readonly source: string;
}

/** Who has an account, and how they prove that it is theirs. */
@Injectable()
export class Accounts {
  constructor(
    private readonly database: Database,
    private readonly passwords: PasswordHasher,
    private readonly attempts: LoginAttempts,
    private readonly clock: Clock,
  ) {}

  async register(account: {
    readonly username: string;
    readonly password: string;
    readonly displayName: string;
  }): Promise<Registered> {
    const hashed = await this.passwords.hash(account.password);
    if (hashed.kind === 'busy') return BUSY;
    const id = uuidv7();
    const inserted = await this.database.query(
      `INSERT INTO app.users (id, username, username_key, display_name, password_hash, created_at)
       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (username_key) DO NOTHING RETURNING id`,
      [
        id,
        account.username,
        usernameKey(account.username),
        account.displayName,
        hashed.value,
        new Date(this.clock.now()),
      ],
    );
    return inserted.length === 0 ? { kind: 'usernameTaken' } : { kind: 'registered', userId: asUserId(id) };
  }

  /** @param address where the attempt comes from, for the limit on attempts */
  async logIn(username: string, password: string, address: string): Promise<LoggedIn> {
    const key = usernameKey(username);
    const retryAfterMs = this.attempts.attempt(key, address);
    if (retryAfterMs > 0) return { kind: 'tooManyAttempts', retryAfterMs };
    const [user] = await this.database.query<{ id: string; password_hash: string | null }>(
      'SELECT id, password_hash FROM app.users WHERE username_key = $1',
      [key],
    );
    const verified = await this.passwords.verify(user?.password_hash ?? undefined, password);
    if (verified.kind === 'busy') return BUSY;
    if (user === undefined || !verified.value) return { kind: 'unknown' };
    this.attempts.succeeded(key, address);
    return { kind: 'known', userId: asUserId(user.id) };
  }

  /**
   * Makes the people of an import; safe to repeat, whole or in part. A user name that somebody else has gets
   * `~` and the beginning of the id behind it.
   * @throws Error when a name is empty or over 64 characters
   */
  async importUsers(users: readonly ImportedUser[]): Promise<void> {
    for (let start = 0; start < users.length; start += IMPORTED_USERS_CHUNK_MAX) {
      const chunk = users.slice(start, start + IMPORTED_USERS_CHUNK_MAX);
      await this.database.transaction((client) => this.importChunk(client, chunk));
    }
  }

  private async importChunk(client: Queryable, users: readonly ImportedUser[]): Promise<void> {
    await this.insertImported(client, users);
    const known = await client.query<{ id: string }>('SELECT id FROM app.users WHERE id = ANY($1::uuid[])', [
      users.map(({ id }) => id),
    ]);
    const ids = new Set(known.map(({ id }) => id));
    const taken = users.filter(({ id }) => !ids.has(id));
    if (taken.length > 0) await this.insertImported(client, taken.map(spelledApart));
  }

  private async insertImported(client: Queryable, users: readonly ImportedUser[]): Promise<void> {
    await client.query(
      `INSERT INTO app.users (id, username, username_key, display_name, source, created_at)
       SELECT u.id, u.username, u.username_key, u.display_name, u.source, $6
       FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
         AS u (id, username, username_key, display_name, source)
       ON CONFLICT DO NOTHING`,
      [
        users.map(({ id }) => id),
        users.map(({ username }) => username),
        users.map(({ username }) => usernameKey(username)),
        users.map(({ displayName }) => displayName),
        users.map(({ source }) => source),
        new Date(this.clock.now()),
      ],
    );
  }
}

function spelledApart(user: ImportedUser): ImportedUser {
  const kept = user.username.slice(0, USERNAME_LENGTH_MAX - TAKEN_SUFFIX_LENGTH);
  return { ...user, username: `${kept}~${user.id.slice(0, TAKEN_SUFFIX_LENGTH - 1)}` };
}

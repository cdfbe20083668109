import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import type { Client } from 'pg';

const TOKEN_LIFE_SECONDS = 86_400;
/** Local ports of one address; the range of Linux has 28,231. */
const SOCKETS_PER_ADDRESS = 20_000;

/** Somebody with an account and a token. */
export interface Person {
  readonly userId: string;
  readonly token: string;
  /** The loopback address their devices connect from. */
  readonly address: string;
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** An access token as the server issues them: thousands of sign-ins would measure Argon2. */
function tokenFor(userId: string, secret: string): string {
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    sid: randomUUID(),
    iss: 'parley',
    aud: 'parley',
    sub: userId,
    iat: now,
    nbf: now - 5,
    exp: now + TOKEN_LIFE_SECONDS,
  };
  const text = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

export const newUserIds = (count: number): readonly string[] => Array.from({ length: count }, () => v7());

/** Makes accounts without passwords. */
export async function makePeople(
  database: Client,
  secret: string,
  ids: readonly string[],
): Promise<readonly Person[]> {
  const names = ids.map(() => `bench-${randomBytes(8).toString('hex')}`);
  await database.query(
    `INSERT INTO app.users (id, username, username_key, display_name, created_at)
     SELECT id, name, name, name, now() FROM unnest($1::uuid[], $2::text[]) AS r(id, name)`,
    [ids, names],
  );
  return ids.map((userId, n) => ({
    userId,
    token: tokenFor(userId, secret),
    address: `127.0.0.${2 + Math.floor(n / SOCKETS_PER_ADDRESS)}`,
  }));
}

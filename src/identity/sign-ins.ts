import { createHash, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SocketControl } from '../application/ports/socket-control';
import { CONFIG, type Config } from '../config/config';
import { Database, type Queryable } from '../infrastructure/postgres/database';
import { Clock } from '../kernel/clock';
import { asUserId, type UserId } from '../kernel/ids';
import { uuidv7 } from '../kernel/uuid';
import { JwtAccessTokens } from './jwt-access-tokens';

const TOKEN_BYTES = 32;
/** 32 bytes in base64url. */
const TOKEN_FORM = /^[A-Za-z0-9_-]{43}$/;

export type EndReason = 'logout' | 'deviceRemoved' | 'tokenReused';

/** What a client gets to stay signed in. */
export interface Credentials {
  readonly userId: UserId;
  readonly signInId: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInSeconds: number;
}

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();

/**
 * Sign-ins: families of rotating refresh tokens (RFC 9700, section 4.14.2). A refresh token is good for one
 * use; whoever shows a used one holds a copy, and because nobody can tell the owner from the thief the whole
 * family ends, its sockets with it.
 */
@Injectable()
export class SignIns {
  private readonly ttlMs: number;

  constructor(
    private readonly database: Database,
    private readonly tokens: JwtAccessTokens,
    private readonly sockets: SocketControl,
    private readonly clock: Clock,
    @Inject(CONFIG) config: Config,
  ) {
    this.ttlMs = config.refreshTokenTtlMs;
  }

  /** Starts a new family for a user who has just proved who they are. */
  async open(userId: UserId): Promise<Credentials> {
    const signInId = uuidv7();
    const now = new Date(this.clock.now());
    const refreshToken = await this.database.transaction(async (client) => {
      await client.query('INSERT INTO app.sign_ins (id, user_id, created_at) VALUES ($1, $2, $3)', [
        signInId,
        userId,
        now,
      ]);
      return this.addToken(client, signInId);
    });
    return this.credentials(userId, signInId, refreshToken);
  }

  /** Exchanges a refresh token for new credentials; undefined: unknown, expired, used before, or ended. */
  async refresh(refreshToken: string): Promise<Credentials | undefined> {
    if (!TOKEN_FORM.test(refreshToken)) return undefined;
    const tokenHash = hashOf(refreshToken);
    const rotated = await this.database.transaction((client) => this.rotate(client, tokenHash));
    if (rotated === undefined) {
      await this.endReused(tokenHash);
      return undefined;
    }
    return this.credentials(rotated.userId, rotated.signInId, rotated.refreshToken);
  }

  /** Ends one sign-in of the user and closes its sockets. Idempotent. */
  async end(userId: UserId, signInId: string, reason: EndReason): Promise<void> {
    await this.database.query(
      `UPDATE app.sign_ins SET ended_at = $3, end_reason = $4
       WHERE id = $1 AND user_id = $2 AND ended_at IS NULL`,
      [signInId, userId, new Date(this.clock.now()), reason],
    );
    this.forget(userId, signInId);
  }

  /** Ends the sign-in of a refresh token, used or not. false: no such token. */
  async endByToken(refreshToken: string): Promise<boolean> {
    const family = await this.familyOf(hashOf(refreshToken));
    if (family === undefined) return false;
    await this.end(family.userId, family.signInId, 'logout');
    return true;
  }

  /** Ends every sign-in that was seen on the device, or that the device was last seen with. */
  async endThoseOfDevice(userId: UserId, deviceId: string, lastSignInId: string): Promise<void> {
    const ended = await this.database.query<{ id: string }>(
      `UPDATE app.sign_ins SET ended_at = $4, end_reason = 'deviceRemoved'
       WHERE user_id = $1 AND (device_id = $2 OR id = $3) AND ended_at IS NULL RETURNING id`,
      [userId, deviceId, lastSignInId, new Date(this.clock.now())],
    );
    for (const { id } of ended) this.forget(userId, id);
  }

  /** One statement decides who uses the token: of two at the same time the second finds it used. */
  private async rotate(client: Queryable, tokenHash: Buffer) {
    const now = new Date(this.clock.now());
    const [used] = await client.query<{ sign_in_id: string; user_id: string }>(
      `UPDATE app.refresh_tokens t SET used_at = $2
       FROM app.sign_ins s
       WHERE t.token_hash = $1 AND t.used_at IS NULL AND t.expires_at > $2
         AND s.id = t.sign_in_id AND s.ended_at IS NULL
       RETURNING t.sign_in_id, s.user_id`,
      [tokenHash, now],
    );
    if (used === undefined) return undefined;
    const refreshToken = await this.addToken(client, used.sign_in_id);
    return { userId: asUserId(used.user_id), signInId: used.sign_in_id, refreshToken };
  }

  private async endReused(tokenHash: Buffer): Promise<void> {
    const family = await this.familyOf(tokenHash);
    if (family?.used === true) await this.end(family.userId, family.signInId, 'tokenReused');
  }

  private async familyOf(tokenHash: Buffer) {
    const [row] = await this.database.query<{ sign_in_id: string; user_id: string; used: boolean }>(
      `SELECT t.sign_in_id, s.user_id, t.used_at IS NOT NULL AS used
       FROM app.refresh_tokens t JOIN app.sign_ins s ON s.id = t.sign_in_id WHERE t.token_hash = $1`,
      [tokenHash],
    );
    if (row === undefined) return undefined;
    return { userId: asUserId(row.user_id), signInId: row.sign_in_id, used: row.used };
  }

  private async addToken(client: Queryable, signInId: string): Promise<string> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    await client.query(
      'INSERT INTO app.refresh_tokens (token_hash, sign_in_id, expires_at) VALUES ($1, $2, $3)',
      [hashOf(token), signInId, new Date(this.clock.now() + this.ttlMs)],
    );
    return token;
  }

  private forget(userId: UserId, signInId: string): void {
    this.tokens.revoke(signInId);
    this.sockets.signOut(userId, { signInId });
  }

  private async credentials(userId: UserId, signInId: string, refreshToken: string): Promise<Credentials> {
    const accessToken = await this.tokens.issue(userId, signInId);
    return { userId, signInId, accessToken, refreshToken, expiresInSeconds: this.tokens.expiresInSeconds };
  }
}

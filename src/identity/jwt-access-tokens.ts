import { Inject, Injectable } from '@nestjs/common';
import { SignJWT, errors, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { AccessTokens, type AccessClaims } from '../application/ports/access-tokens';
import { CONFIG, type Config } from '../config/config';
import { Clock } from '../kernel/clock';
import { asMillis, asUserId, type UserId } from '../kernel/ids';

export const ISSUER = 'parley';
export const AUDIENCE = 'parley';
/** A node whose clock is this far behind the issuer's still takes a token made this moment. */
const CLOCK_SKEW_SECONDS = 5;
/** Verified tokens remembered, so that a busy REST client costs one signature check, not one a request. */
export const VERIFIED_TOKENS_MAX = 10_000;
/** Ended sign-ins, remembered for as long as an access token lives. */
export const ENDED_SIGN_INS_MAX = 100_000;
const TOKEN_LENGTH_MAX = 8_192;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Access tokens are JWTs (RFC 7519) signed with HMAC-SHA256 and the node's secret: any node checks them
 * without a store. The node that ends a sign-in refuses its tokens at once; the others do as soon as they hear of
 * it (see EndedSignIns).
 */
@Injectable()
export class JwtAccessTokens extends AccessTokens {
  private readonly key: Uint8Array;
  /** The signing key first, then the one that is coming or going while keys are changed. */
  private readonly accepted: readonly Uint8Array[];
  private readonly ttlMs: number;
  private readonly verified = new LRUCache<string, AccessClaims>({ max: VERIFIED_TOKENS_MAX });
  private readonly ended: LRUCache<string, true>;

  constructor(
    @Inject(CONFIG) config: Config,
    private readonly clock: Clock,
  ) {
    super();
    const encoder = new TextEncoder();
    this.key = encoder.encode(config.jwtSecret);
    const second = config.jwtSecretSecond === undefined ? [] : [encoder.encode(config.jwtSecretSecond)];
    this.accepted = [this.key, ...second];
    this.ttlMs = config.accessTokenTtlMs;
    this.ended = new LRUCache({ max: ENDED_SIGN_INS_MAX, ttl: this.ttlMs });
  }

  /** Seconds that a token made now is good for. */
  get expiresInSeconds(): number {
    return Math.floor(this.ttlMs / 1_000);
  }

  issue(userId: UserId, signInId: string): Promise<string> {
    const now = Math.floor(this.clock.now() / 1_000);
    return new SignJWT({ sid: signInId })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(userId)
      .setIssuedAt(now)
      .setNotBefore(now - CLOCK_SKEW_SECONDS)
      .setExpirationTime(now + this.expiresInSeconds)
      .sign(this.key);
  }

  override async verify(token: string): Promise<AccessClaims | undefined> {
    if (token.length > TOKEN_LENGTH_MAX) return undefined;
    const claims = this.verified.get(token) ?? (await this.check(token));
    if (claims === undefined || claims.expiresAt <= this.clock.now()) return undefined;
    return this.ended.has(claims.signInId) ? undefined : claims;
  }

  /** The sign-in has ended: this node takes none of its tokens any more. */
  revoke(signInId: string): void {
    this.ended.set(signInId, true);
  }

  private async check(token: string): Promise<AccessClaims | undefined> {
    for (const key of this.accepted) {
      const claims = await this.checkWith(key, token);
      if (claims !== undefined) return claims;
    }
    return undefined;
  }

  private async checkWith(key: Uint8Array, token: string): Promise<AccessClaims | undefined> {
    try {
      const { payload } = await jwtVerify(token, key, {
        // Named, so that a token cannot choose how it is checked (RFC 8725, section 3.1).
        algorithms: ['HS256'],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'sid', 'exp'],
        currentDate: new Date(this.clock.now()),
      });
      const { sub, sid, exp } = payload;
      if (sub === undefined || !UUID.test(sub) || typeof sid !== 'string' || !UUID.test(sid))
        return undefined;
      if (exp === undefined) return undefined;
      const claims = { userId: asUserId(sub), signInId: sid, expiresAt: asMillis(exp * 1_000) };
      this.verified.set(token, claims);
      return claims;
    } catch (error) {
      // Whatever jose refuses is a token that is not ours; anything else is a broken machine.
      if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
      throw error;
    }
  }
}

import type { Millis, UserId } from '../../kernel/ids';

export interface AccessClaims {
  readonly userId: UserId;
  /** The refresh-token family (one sign-in) the token belongs to. */
  readonly signInId: string;
  readonly expiresAt: Millis;
}

/** Checks access tokens without asking any store, so that sockets authenticate while Postgres is down. */
export abstract class AccessTokens {
  /** undefined: forged, expired, not yet valid, for another audience, or not a token at all. */
  abstract verify(token: string): Promise<AccessClaims | undefined>;
}

import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { AccessTokens, type AccessClaims } from '../application/ports/access-tokens';
import { unauthenticated } from './problem-exception';
import { requestOf, type EdgeRequest } from './request';

const BEARER = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i;

/** The token of an `Authorization: Bearer` header (RFC 6750, section 2.1); undefined: none, or another scheme. */
export const bearerToken = (request: EdgeRequest): string | undefined =>
  BEARER.exec(request.headers.authorization ?? '')?.[1];

/** Lets in whoever shows a valid access token, and says who it is. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(private readonly tokens: AccessTokens) {}

  async canActivate(context: ExecutionContext): Promise<true> {
    const request = requestOf(context);
    const token = bearerToken(request);
    if (token === undefined) throw unauthenticated('Send an access token as `Authorization: Bearer`.');
    const claims: AccessClaims | undefined = await this.tokens.verify(token);
    if (claims === undefined) throw unauthenticated('The access token is not valid, or not any more.');
    request.caller = claims;
    return true;
  }
}

import { Controller, Post, Req } from '@nestjs/common';
import { AccessTokens } from '../application/ports/access-tokens';
import { Accounts } from '../identity/accounts';
import { Profiles } from '../identity/profiles';
import { SignIns, type Credentials } from '../identity/sign-ins';
import { LoginBody, LogoutBody, RefreshBody, RegisterBody, SignedIn } from '../protocol/rest';
import type { BodyOf, SignedInDto } from '../protocol/rest';
import { bearerToken } from './access.guard';
import { Describe } from './describe';
import { toOwnUserDto } from './dto';
import { Body } from './input';
import { ProblemException, unauthenticated } from './problem-exception';
import { PeerAddress, type EdgeRequest } from './request';

@Controller('api/v1/auth')
export class AuthController {
  constructor(
    private readonly accounts: Accounts,
    private readonly signIns: SignIns,
    private readonly profiles: Profiles,
    private readonly tokens: AccessTokens,
  ) {}

  @Post('register')
  @Describe({
    summary: 'Make an account and sign in',
    body: RegisterBody,
    answers: { 201: SignedIn },
    refusals: ['conflict'],
    open: true,
  })
  async register(@Body(RegisterBody) body: BodyOf<typeof RegisterBody>): Promise<SignedInDto> {
    const { username, password, displayName = username } = body;
    const registered = await this.accounts.register({ username, password, displayName });
    switch (registered.kind) {
      case 'registered':
        return this.signedIn(await this.signIns.open(registered.userId));
      case 'usernameTaken':
        throw new ProblemException('conflict', 'Somebody has this user name already.', {
          errors: [{ field: 'username', message: 'is taken' }],
        });
      case 'busy':
        throw busy(registered.retryAfterMs);
    }
  }

  @Post('login')
  @Describe({
    summary: 'Sign in',
    body: LoginBody,
    answers: { 200: SignedIn },
    refusals: ['unauthenticated', 'rate_limited'],
    open: true,
  })
  async login(
    @Body(LoginBody) body: BodyOf<typeof LoginBody>,
    @PeerAddress() address: string,
  ): Promise<SignedInDto> {
    const login = await this.accounts.logIn(body.username, body.password, address);
    switch (login.kind) {
      case 'known':
        return this.signedIn(await this.signIns.open(login.userId));
      case 'unknown':
        throw unauthenticated('There is no such user, or the password is another.');
      case 'tooManyAttempts':
        throw new ProblemException('rate_limited', 'Too many attempts to sign in.', {
          retryAfterMs: login.retryAfterMs,
        });
      case 'busy':
        throw busy(login.retryAfterMs);
    }
  }

  @Post('refresh')
  @Describe({
    summary: 'Exchange a refresh token, once, for new credentials',
    body: RefreshBody,
    answers: { 200: SignedIn },
    refusals: ['unauthenticated'],
    open: true,
  })
  async refresh(@Body(RefreshBody) body: BodyOf<typeof RefreshBody>): Promise<SignedInDto> {
    const credentials = await this.signIns.refresh(body.refreshToken);
    if (credentials === undefined) {
      throw unauthenticated('The refresh token is not valid, or not any more. Sign in again.');
    }
    return this.signedIn(credentials);
  }

  @Post('logout')
  @Describe({
    summary: 'End the sign-in of the access token or, without one, of the refresh token',
    body: LogoutBody,
    bodyOptional: true,
    answers: { 204: 'empty' },
    refusals: ['unauthenticated'],
    open: true,
  })
  async logout(
    @Body(LogoutBody, { optional: true }) body: BodyOf<typeof LogoutBody>,
    @Req() request: EdgeRequest,
  ): Promise<void> {
    const token = bearerToken(request);
    const caller = token === undefined ? undefined : await this.tokens.verify(token);
    if (caller !== undefined) {
      await this.signIns.end(caller.userId, caller.signInId, 'logout');
    } else if (body.refreshToken === undefined || !(await this.signIns.endByToken(body.refreshToken))) {
      throw unauthenticated('Send a valid access token, or a refresh token.');
    }
  }

  private async signedIn(credentials: Credentials): Promise<SignedInDto> {
    const { userId, accessToken, refreshToken, expiresInSeconds } = credentials;
    const user = await this.profiles.get(userId, userId);
    if (user === undefined) throw unauthenticated('The account is gone.');
    return { user: toOwnUserDto(user), accessToken, refreshToken, expiresIn: expiresInSeconds };
  }
}

const busy = (retryAfterMs: number): ProblemException =>
  new ProblemException('unavailable', 'Too many people are signing in at once.', { retryAfterMs });

import { createHmac } from 'node:crypto';
import type { Config } from '../config/config';
import { Clock } from '../kernel/clock';
import { asMillis, asUserId, type Millis } from '../kernel/ids';
import { JwtAccessTokens } from './jwt-access-tokens';

const SECRET = 'a secret of at least thirty-two bytes';
const NOW_SECONDS = 1_790_000_000;
const USER = asUserId('019a0000-0000-7000-8000-00000000000a');
const SIGN_IN = '019a0000-0000-7000-8000-0000000000f1';
const TTL_MS = 900_000;

class SetClock extends Clock {
  at: Millis = asMillis(NOW_SECONDS * 1_000);
  now(): Millis {
    return this.at;
  }
}

const config = { jwtSecret: SECRET, accessTokenTtlMs: TTL_MS } as Config;
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token as anybody could write one. */
function forge(change: {
  readonly header?: object;
  readonly claims?: object;
  readonly secret?: string;
  readonly hash?: string;
}): string {
  const header = { alg: 'HS256', typ: 'JWT', ...change.header };
  const claims = {
    sub: USER,
    sid: SIGN_IN,
    iss: 'parley',
    aud: 'parley',
    iat: NOW_SECONDS,
    nbf: NOW_SECONDS,
    exp: NOW_SECONDS + 900,
    ...change.claims,
  };
  const signed = `${encode(header)}.${encode(claims)}`;
  const signature = createHmac(change.hash ?? 'sha256', change.secret ?? SECRET);
  return `${signed}.${signature.update(signed).digest('base64url')}`;
}

describe('JwtAccessTokens', () => {
  let clock: SetClock;
  let tokens: JwtAccessTokens;
  beforeEach(() => {
    clock = new SetClock();
    tokens = new JwtAccessTokens(config, clock);
  });

  it('takes the tokens of a second key while keys are changed, and signs with the first alone', async () => {
    const second = 'another secret of at least thirty-two bytes';
    const rotating = new JwtAccessTokens({ ...config, jwtSecretSecond: second }, clock);
    const other = new JwtAccessTokens({ ...config, jwtSecret: second }, clock);
    expect(await rotating.verify(await other.issue(USER, SIGN_IN))).toBeDefined();
    expect(
      await rotating.verify(forge({ secret: 'a third secret, of nobody: thirty-two bytes' })),
    ).toBeUndefined();
    expect(await tokens.verify(await rotating.issue(USER, SIGN_IN))).toBeDefined();
    expect(await other.verify(await rotating.issue(USER, SIGN_IN))).toBeUndefined();
  });

  it('takes what it issued, until the moment it expires', async () => {
    const token = await tokens.issue(USER, SIGN_IN);
    const expiresAt = NOW_SECONDS * 1_000 + TTL_MS;
    expect(await tokens.verify(token)).toEqual({ userId: USER, signInId: SIGN_IN, expiresAt });
    clock.at = asMillis(expiresAt - 1);
    expect(await tokens.verify(token)).toBeDefined();
    clock.at = asMillis(expiresAt);
    expect(await tokens.verify(token)).toBeUndefined();
  });

  it('takes a token of another node with the same secret', async () => {
    const token = await new JwtAccessTokens(config, clock).issue(USER, SIGN_IN);
    expect(await tokens.verify(token)).toBeDefined();
  });

  it('takes no token of an ended sign-in, also when it was verified before', async () => {
    const token = await tokens.issue(USER, SIGN_IN);
    expect(await tokens.verify(token)).toBeDefined();
    tokens.revoke(SIGN_IN);
    expect(await tokens.verify(token)).toBeUndefined();
  });

  it('takes what forge() writes with the right secret, so that the table below refuses for its own reasons', async () => {
    expect(await tokens.verify(forge({}))).toBeDefined();
  });

  const unsigned = (alg: string): string => {
    const [, claims] = forge({}).split('.');
    return `${encode({ alg, typ: 'JWT' })}.${claims ?? ''}.`;
  };

  it.each<readonly [string, string]>([
    ['signed with another secret', forge({ secret: 'another secret of thirty-two bytes!!' })],
    ['signed with an empty secret', forge({ secret: '' })],
    ['alg none, unsigned', unsigned('none')],
    ['alg NONE, unsigned', unsigned('NONE')],
    ['alg none, signed', forge({ header: { alg: 'none' } })],
    ['alg HS512, rightly signed', forge({ header: { alg: 'HS512' }, hash: 'sha512' })],
    ['alg RS256', forge({ header: { alg: 'RS256' } })],
    ['an unknown critical header', forge({ header: { crit: ['x'], x: 1 } })],
    ['expired', forge({ claims: { exp: NOW_SECONDS - 1 } })],
    ['expiring this second', forge({ claims: { exp: NOW_SECONDS } })],
    ['expiry as text', forge({ claims: { exp: '9999999999' } })],
    ['no expiry', forge({ claims: { exp: undefined } })],
    ['not yet valid', forge({ claims: { nbf: NOW_SECONDS + 60 } })],
    ['another audience', forge({ claims: { aud: 'parley-admin' } })],
    ['no audience', forge({ claims: { aud: undefined } })],
    ['another issuer', forge({ claims: { iss: 'evil' } })],
    ['no subject', forge({ claims: { sub: undefined } })],
    ['a subject that is no user id', forge({ claims: { sub: "' OR 1=1 --" } })],
    ['a subject that is an object', forge({ claims: { sub: { id: USER } } })],
    ['no sign-in', forge({ claims: { sid: undefined } })],
    ['a sign-in that is no id', forge({ claims: { sid: 7 } })],
    ['empty', ''],
    ['two dots alone', '..'],
    ['not a token', 'not a token'],
    ['a token with one bit changed', `A${forge({}).slice(1)}`],
    ['a cut token', forge({}).slice(0, -2)],
    ['a token and more', `${forge({})}x`],
    ['a megabyte', 'a'.repeat(1_048_576)],
    ['U+0000', '\u0000'],
  ])('refuses: %s', async (_what, token) => {
    expect(await tokens.verify(token)).toBeUndefined();
  });
});

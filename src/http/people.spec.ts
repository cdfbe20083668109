import { callInContract, ME, SIGN_IN, startHttpApp, type TestHttpApp } from '../../test/support/http-app';
import { SetBlockCommand } from '../application/commands/commands';
import { NOBODY, parseAddressSet, type AddressSet } from '../config/address-set';
import { asConversationId, asMillis, asUserId } from '../kernel/ids';

const ID = asConversationId('019a0000-0000-7000-8000-000000000001');
const OTHER = asUserId('019a0000-0000-7000-8000-00000000000b');
const AT = asMillis(1_790_000_000_000);

describe('REST on people and nodes', () => {
  let http: TestHttpApp;
  let proxies: AddressSet = NOBODY;
  beforeAll(async () => {
    http = await startHttpApp({ trustedProxies: { has: (address) => proxies.has(address) } });
  });
  afterAll(() => http.stop());
  beforeEach(() => {
    jest.resetAllMocks();
  });

  const call = (method: string, path: string, body?: unknown, headers?: Record<string, string | undefined>) =>
    callInContract(http, method, path, body, headers);

  const executes = (answer: unknown) => http.commands['execute']?.mockResolvedValueOnce(answer);
  const commandAt = (index: number): unknown =>
    (http.commands['execute']?.mock.calls as unknown[][])[index]?.[0];

  describe('signing in', () => {
    const user = { id: ME, username: 'ann', displayName: 'Ann', privacy: { lastSeen: 'everyone' } };
    const credentials = {
      userId: ME,
      signInId: SIGN_IN,
      accessToken: 'access',
      refreshToken: 'refresh',
      expiresInSeconds: 900,
    };
    const account = { username: 'ann', password: 'open sesame' };

    it('registers and answers with everything a client needs', async () => {
      http.accounts['register']?.mockResolvedValue({ kind: 'registered', userId: ME });
      http.signIns['open']?.mockResolvedValue(credentials);
      http.profiles['get']?.mockResolvedValue(user);
      const answer = await call('POST', '/api/v1/auth/register', account);
      expect([answer.status, answer.body]).toEqual([
        201,
        { user, accessToken: 'access', refreshToken: 'refresh', expiresIn: 900 },
      ]);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      expect(http.accounts['register']).toHaveBeenCalledWith({ ...account, displayName: 'ann' });
    });

    it.each(['', 'a b', 'é', 'x'.repeat(33), '<b>', 'a/b', 'a\nb'])(
      'refuses the name %j',
      async (username) => {
        const answer = await call('POST', '/api/v1/auth/register', { ...account, username });
        expect(answer.body).toMatchObject({ code: 'invalid_input', errors: [{ field: 'username' }] });
      },
    );

    it('says that a name is taken', async () => {
      http.accounts['register']?.mockResolvedValue({ kind: 'usernameTaken' });
      expect((await call('POST', '/api/v1/auth/register', account)).status).toBe(409);
    });

    it.each<readonly [object, number]>([
      [{ kind: 'unknown' }, 401],
      [{ kind: 'tooManyAttempts', retryAfterMs: 6_000 }, 429],
      [{ kind: 'busy', retryAfterMs: 2_000 }, 503],
    ])('answers a login that is %j with %i', async (outcome, status) => {
      http.accounts['logIn']?.mockResolvedValue(outcome);
      const answer = await call('POST', '/api/v1/auth/login', account);
      expect(answer.status).toBe(status);
      if (status !== 401) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(1);
    });

    // Attempts are counted by name and address: whoever could choose theirs could guess for ever.
    it.each<readonly [string, AddressSet, string | undefined, string]>([
      ['a stranger says', NOBODY, '203.0.113.5', '127.0.0.1'],
      ['a proxy says nothing', parseAddressSet('loopback'), undefined, '127.0.0.1'],
      ['a proxy says', parseAddressSet('loopback'), '203.0.113.5', '203.0.113.5'],
      [
        'a proxy adds to what a stranger said',
        parseAddressSet('loopback'),
        '1.1.1.1, 203.0.113.5',
        '203.0.113.5',
      ],
      ['two proxies say', parseAddressSet('loopback,10.0.0.0/8'), '203.0.113.5, 10.1.2.3', '203.0.113.5'],
      ['another proxy says', parseAddressSet('10.0.0.0/8'), '203.0.113.5', '127.0.0.1'],
      ['a proxy says nonsense', parseAddressSet('loopback'), 'x'.repeat(99), '127.0.0.1'],
    ])('counts attempts by the address that %s', async (_what, trusted, forwardedFor, address) => {
      proxies = trusted;
      http.accounts['logIn']?.mockResolvedValue({ kind: 'unknown' });
      await call('POST', '/api/v1/auth/login', account, { 'x-forwarded-for': forwardedFor });
      expect(http.accounts['logIn']).toHaveBeenCalledWith(account.username, account.password, address);
      proxies = NOBODY;
    });

    it('refreshes, or says to sign in again', async () => {
      http.signIns['refresh']?.mockResolvedValueOnce(credentials);
      http.profiles['get']?.mockResolvedValue(user);
      expect((await call('POST', '/api/v1/auth/refresh', { refreshToken: 'r' })).status).toBe(200);
      expect((await call('POST', '/api/v1/auth/refresh', { refreshToken: 'r' })).status).toBe(401);
    });

    it('logs out by access token, by refresh token, or not at all', async () => {
      expect((await call('POST', '/api/v1/auth/logout')).status).toBe(204);
      expect(http.signIns['end']).toHaveBeenCalledWith(ME, SIGN_IN, 'logout');
      const stale = { authorization: 'Bearer stale' };
      http.signIns['endByToken']?.mockResolvedValueOnce(true);
      expect((await call('POST', '/api/v1/auth/logout', { refreshToken: 'r' }, stale)).status).toBe(204);
      expect((await call('POST', '/api/v1/auth/logout', {}, stale)).status).toBe(401);
    });

    it('shows and changes people', async () => {
      http.profiles['change']?.mockResolvedValueOnce(user).mockResolvedValueOnce('usernameTaken');
      expect((await call('PATCH', '/api/v1/users/me', { statusMessage: null })).body).toEqual(user);
      expect((await call('PATCH', '/api/v1/users/me', { username: 'bob' })).status).toBe(409);
      http.profiles['get']?.mockResolvedValueOnce(user);
      const other = await call('GET', `/api/v1/users/${OTHER}`);
      expect(other.body).toEqual({ id: ME, username: 'ann', displayName: 'Ann' });
      expect((await call('GET', `/api/v1/users/${OTHER}`)).status).toBe(404);
      http.profiles['search']?.mockResolvedValueOnce({ items: [user], hasMore: false });
      expect((await call('GET', '/api/v1/users?query=a')).body).toMatchObject({ items: [{ id: ME }] });
      http.profiles['search']?.mockResolvedValueOnce('badCursor');
      expect((await call('GET', '/api/v1/users?query=a&cursor=x')).status).toBe(400);
      expect((await call('GET', '/api/v1/users')).status).toBe(400);
    });

    it('lists and removes devices', async () => {
      const device = { id: 'phone', signInId: SIGN_IN, createdAt: AT, lastSeenAt: AT };
      http.devices['list']?.mockResolvedValueOnce([device]);
      expect((await call('GET', '/api/v1/devices')).body).toMatchObject({
        items: [{ id: 'phone', current: true }],
        hasMore: false,
      });
      http.devices['remove']?.mockResolvedValueOnce(true).mockResolvedValueOnce(false);
      expect((await call('DELETE', '/api/v1/devices/phone')).status).toBe(204);
      expect((await call('DELETE', '/api/v1/devices/phone')).status).toBe(404);
      expect((await call('DELETE', '/api/v1/devices/a%20b')).status).toBe(404);
    });

    it('blocks and unblocks', async () => {
      http.users['existing']?.mockResolvedValue(new Set([OTHER]));
      executes({ conversationId: ID, outcome: { kind: 'unchanged', head: 0 } });
      executes({ kind: 'unchanged', head: 7 });
      expect((await call('PUT', `/api/v1/users/${OTHER}/block`)).body).toEqual({ seq: 7 });
      expect(commandAt(1)).toBeInstanceOf(SetBlockCommand);
      expect(commandAt(1)).toMatchObject({ input: { by: ME, conversationId: ID, on: true } });
      expect(http.blocks['add']).toHaveBeenCalledWith(ME, OTHER);
      executes({ kind: 'refused', refusal: { code: 'not_found', detail: 'never met' } });
      expect((await call('DELETE', `/api/v1/users/${OTHER}/block`)).body).toEqual({});
      expect(http.blocks['remove']).toHaveBeenCalledWith(ME, OTHER);
      expect((await call('PUT', `/api/v1/users/${ME}/block`)).status).toBe(400);
      http.users['existing']?.mockResolvedValue(new Set());
      expect((await call('PUT', `/api/v1/users/${OTHER}/block`)).status).toBe(404);
      http.blocks['list']?.mockResolvedValueOnce({ items: [user], hasMore: true, next: ME });
      expect((await call('GET', '/api/v1/blocks')).body).toMatchObject({ nextCursor: ME });
    });
  });

  describe('a node', () => {
    it('is live, and ready while its stores are', async () => {
      expect((await call('GET', '/health/live')).body).toEqual({ status: 'live' });
      const remove = http.health.register('postgres', () => ({ status: 'up' }));
      expect((await call('GET', '/health/ready')).status).toBe(200);
      remove();
      const removeBroken = http.health.register('postgres', () => ({ status: 'down' }));
      const answer = await call('GET', '/health/ready');
      expect([answer.status, answer.body]).toEqual([
        503,
        { status: 'not_ready', checks: { postgres: { status: 'down' } } },
      ]);
      removeBroken();
    });

    it('counts its requests by route template, never by path', async () => {
      await call('GET', '/health/live');
      await fetch(`${http.url}/some/path/of/a/stranger`);
      const response = await fetch(`${http.url}/metrics`);
      const text = await response.text();
      expect(response.headers.get('content-type')).toContain('text/plain');
      expect(text).toMatch(
        /parley_http_request_milliseconds_count\{method="GET",route="\/health\/live",status="200"\} \d/,
      );
      expect(text).toContain('parley_refused_total{code="not_found",door="rest"}');
      expect(text).not.toContain('stranger');
    });
  });
});

import type { Config } from '../config/config';
import { MemoryRateLimits } from '../infrastructure/memory/memory-rate-limits';
import { LOGIN_ATTEMPTS_BURST, LoginAttempts } from './login-attempts';

const attemptsWith = (rateLimits: boolean): LoginAttempts =>
  new LoginAttempts(new MemoryRateLimits(() => 0), { rateLimits } as Config);

describe('LoginAttempts', () => {
  it('lets the burst through and then says how long to wait', () => {
    const attempts = attemptsWith(true);
    for (let made = 0; made < LOGIN_ATTEMPTS_BURST; made++) expect(attempts.attempt('ann', '::1')).toBe(0);
    expect(attempts.attempt('ann', '::1')).toBe(6_000);
  });

  it('locks neither the owner at another address out, nor other accounts', () => {
    const attempts = attemptsWith(true);
    for (let made = 0; made <= LOGIN_ATTEMPTS_BURST; made++) attempts.attempt('ann', '::1');
    expect(attempts.attempt('ann', '::2')).toBe(0);
    expect(attempts.attempt('bob', '::1')).toBe(0);
  });

  it('forgets the wrong ones after a right one', () => {
    const attempts = attemptsWith(true);
    for (let made = 0; made <= LOGIN_ATTEMPTS_BURST; made++) attempts.attempt('ann', '::1');
    attempts.succeeded('ann', '::1');
    expect(attempts.attempt('ann', '::1')).toBe(0);
  });

  it('is off for load tests', () => {
    const attempts = attemptsWith(false);
    for (let made = 0; made < 1_000; made++) expect(attempts.attempt('ann', '::1')).toBe(0);
  });
});

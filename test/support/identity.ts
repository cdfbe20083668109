import type { Config } from '../../src/config/config';
import { SocketControl } from '../../src/application/ports/socket-control';
import { Accounts } from '../../src/identity/accounts';
import { Devices } from '../../src/identity/devices';
import { JwtAccessTokens } from '../../src/identity/jwt-access-tokens';
import { LoginAttempts } from '../../src/identity/login-attempts';
import { PasswordHasher } from '../../src/identity/password-hasher';
import { Profiles } from '../../src/identity/profiles';
import { SignIns } from '../../src/identity/sign-ins';
import { MemoryRateLimits } from '../../src/infrastructure/memory/memory-rate-limits';
import type { Database } from '../../src/infrastructure/postgres/database';
import { Clock } from '../../src/kernel/clock';
import { asMillis, type Millis, type UserId } from '../../src/kernel/ids';
import { Metrics } from '../../src/observability/metrics';

export const REFRESH_TTL_MS = 3_600_000;
export const PASSWORD = 'open sesame';

export class SetClock extends Clock {
  at = Date.now();
  now(): Millis {
    return asMillis(this.at);
  }
}

interface SignOut {
  readonly userId: string;
  readonly which: object;
}

class RecordedSignOuts extends SocketControl {
  readonly calls: SignOut[] = [];
  readonly here: SignOut[] = [];
  signOut(userId: string, which: object): void {
    this.calls.push({ userId, which });
  }
  signOutHere(userId: string, which: object): void {
    this.here.push({ userId, which });
  }
}

const config = {
  jwtSecret: 'a secret of at least thirty-two bytes',
  accessTokenTtlMs: 900_000,
  refreshTokenTtlMs: REFRESH_TTL_MS,
  rateLimits: true,
} as Config;

let names = 0;

/** The whole of identity on a database, with a clock that stands still and sockets that only note what closes them. */
export function identityOn(database: Database) {
  const clock = new SetClock();
  const sockets = new RecordedSignOuts();
  const tokens = new JwtAccessTokens(config, clock);
  const signIns = new SignIns(database, tokens, sockets, clock, config);
  const devices = new Devices(database, signIns, sockets, clock);
  const hasher = new PasswordHasher(new Metrics());
  const accounts = new Accounts(
    database,
    hasher,
    new LoginAttempts(new MemoryRateLimits(() => clock.at), config),
    clock,
  );
  const newUser = async (
    username = `user${++names}`,
  ): Promise<{ readonly id: UserId; readonly username: string }> => {
    const registered = await accounts.register({ username, password: PASSWORD, displayName: username });
    if (registered.kind !== 'registered') throw new Error(registered.kind);
    return { id: registered.userId, username };
  };
  const profiles = new Profiles(database);
  return { clock, tokens, signIns, devices, accounts, profiles, newUser, sockets, signedOut: sockets.calls };
}

export type TestIdentity = ReturnType<typeof identityOn>;

import { Global, Module } from '@nestjs/common';
import { AccessTokens } from '../application/ports/access-tokens';
import { DeviceRegistry } from '../application/ports/device-registry';
import { LastSeenPrivacy } from '../application/ports/presence';
import { UserDirectory } from '../application/ports/user-directory';
import { Database } from '../infrastructure/postgres/database';
import { Accounts } from './accounts';
import { Blocks } from './blocks';
import { Devices } from './devices';
import { EndedSignIns } from './ended-sign-ins';
import { ExpiredSignIns } from './expired-sign-ins';
import { JwtAccessTokens } from './jwt-access-tokens';
import { LoginAttempts } from './login-attempts';
import { PasswordHasher } from './password-hasher';
import { PostgresLastSeenPrivacy } from './postgres-last-seen-privacy';
import { PostgresUserDirectory } from './postgres-user-directory';
import { Profiles } from './profiles';
import { SignIns } from './sign-ins';

/** People, their sign-ins and devices. CONFIG, Clock, Database, Metrics and SocketControl come from global modules. */
@Global()
@Module({
  providers: [
    Accounts,
    Blocks,
    Devices,
    EndedSignIns,
    ExpiredSignIns,
    JwtAccessTokens,
    LoginAttempts,
    PasswordHasher,
    Profiles,
    SignIns,
    PostgresUserDirectory,
    { provide: AccessTokens, useExisting: JwtAccessTokens },
    { provide: DeviceRegistry, useExisting: Devices },
    { provide: UserDirectory, useExisting: PostgresUserDirectory },
    {
      provide: LastSeenPrivacy,
      useFactory: (database: Database) => new PostgresLastSeenPrivacy(database),
      inject: [Database],
    },
  ],
  exports: [
    AccessTokens,
    DeviceRegistry,
    LastSeenPrivacy,
    UserDirectory,
    Accounts,
    Blocks,
    Devices,
    Profiles,
    SignIns,
  ],
})
export class IdentityModule {}

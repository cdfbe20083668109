import type { AddressInfo } from 'node:net';
import { Global, Module, type Provider } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { Test } from '@nestjs/testing';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AccessTokens, type AccessClaims } from '../../src/application/ports/access-tokens';
import { UserDirectory } from '../../src/application/ports/user-directory';
import { RateLimits } from '../../src/application/ports/rate-limits';
import { NOBODY } from '../../src/config/address-set';
import { CONFIG, type Config } from '../../src/config/config';
import { EDGE_OPTIONS, setUpEdge } from '../../src/http/edge';
import { HttpModule } from '../../src/http/http.module';
import { Accounts } from '../../src/identity/accounts';
import { Blocks } from '../../src/identity/blocks';
import { Devices } from '../../src/identity/devices';
import { Profiles } from '../../src/identity/profiles';
import { SignIns } from '../../src/identity/sign-ins';
import { MemoryRateLimits } from '../../src/infrastructure/memory/memory-rate-limits';
import { Clock, SystemClock } from '../../src/kernel/clock';
import { asMillis, asUserId } from '../../src/kernel/ids';
import { HealthChecks } from '../../src/observability/health';
import { Metrics } from '../../src/observability/metrics';
import { validateResponse } from './contract-validator';
import { DEFAULT_LIMITS } from '../../src/protocol/limits';

export const TOKEN = 'a-valid-token';
export const ME = asUserId('019a0000-0000-7000-8000-00000000000a');
export const SIGN_IN = '019a0000-0000-7000-8000-0000000000f1';

class OneToken extends AccessTokens {
  verify(token: string): Promise<AccessClaims | undefined> {
    const claims = { userId: ME, signInId: SIGN_IN, expiresAt: asMillis(Date.now() + 60_000) };
    return Promise.resolve(token === TOKEN ? claims : undefined);
  }
}

type Fake = Record<string, jest.Mock>;
const fake = (...methods: string[]): Fake => Object.fromEntries(methods.map((name) => [name, jest.fn()]));

/** REST alone, over real HTTP on a free port; what lies beneath is faked, per test. */
const DEFAULTS = {
  rateLimits: true,
  limits: DEFAULT_LIMITS,
  trustedProxies: NOBODY,
  tracingCallers: NOBODY,
};

export async function startHttpApp(config: Partial<Config> = {}) {
  const fakes = {
    commands: fake('execute'),
    queries: fake('execute'),
    accounts: fake('register', 'logIn'),
    signIns: fake('open', 'refresh', 'end', 'endByToken'),
    profiles: fake('get', 'change', 'search'),
    devices: fake('list', 'remove'),
    blocks: fake('add', 'remove', 'list'),
    users: fake('existing'),
    health: new HealthChecks(),
  };
  const providers: Provider[] = [
    { provide: CONFIG, useValue: { ...DEFAULTS, ...config } },
    { provide: Clock, useClass: SystemClock },
    { provide: AccessTokens, useClass: OneToken },
    { provide: RateLimits, useValue: new MemoryRateLimits() },
    { provide: CommandBus, useValue: fakes.commands },
    { provide: QueryBus, useValue: fakes.queries },
    { provide: Accounts, useValue: fakes.accounts },
    { provide: SignIns, useValue: fakes.signIns },
    { provide: Profiles, useValue: fakes.profiles },
    { provide: Devices, useValue: fakes.devices },
    { provide: Blocks, useValue: fakes.blocks },
    { provide: UserDirectory, useValue: fakes.users },
    { provide: HealthChecks, useValue: fakes.health },
    Metrics,
  ];

  @Global()
  @Module({ providers, exports: providers })
  class Beneath {}

  const module = await Test.createTestingModule({ imports: [Beneath, HttpModule] }).compile();
  const app = module.createNestApplication<NestExpressApplication>(EDGE_OPTIONS);
  app.useLogger(false);
  setUpEdge(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return { app, port, url: `http://127.0.0.1:${port}`, ...fakes, stop: () => app.close() };
}

export type TestHttpApp = Awaited<ReturnType<typeof startHttpApp>>;

export interface ContractAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** Calls as the test's user and holds every answer against the published contract. */
export async function callInContract(
  http: TestHttpApp,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string | undefined>> = {},
): Promise<ContractAnswer> {
  const given = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const response = await fetch(http.url + path, {
    method,
    headers: {
      authorization: `Bearer ${TOKEN}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...Object.fromEntries(given),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const parsed = (text === '' ? undefined : JSON.parse(text)) as Record<string, unknown>;
  await validateResponse(method, path, response.status, parsed);
  return { status: response.status, headers: response.headers, body: parsed };
}

import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { Global, Module, type INestApplication } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { Test } from '@nestjs/testing';
import { Executor } from '../../src/application/executor';
import { AccessTokens, type AccessClaims } from '../../src/application/ports/access-tokens';
import { DeviceRegistry } from '../../src/application/ports/device-registry';
import { EventLog } from '../../src/application/ports/event-log';
import { EphemeralBus, LastSeenPrivacy, PresenceStore } from '../../src/application/ports/presence';
import { NodeNotices } from '../../src/application/ports/node-notices';
import { RateLimits } from '../../src/application/ports/rate-limits';
import { SocketDirectory } from '../../src/application/ports/socket-directory';
import { CONFIG, type Config } from '../../src/config/config';
import type { Connection, Push } from '../../src/delivery/connection';
import { Hub } from '../../src/delivery/hub';
import { ReceiptAggregator } from '../../src/delivery/receipts';
import { SyncService } from '../../src/delivery/sync';
import { GATEWAY_LIMITS, GATEWAY_LIMITS_DEFAULT, type GatewayLimits } from '../../src/gateway/gateway-limits';
import { GatewayCounters } from '../../src/gateway/gateway-counters';
import { GatewayModule } from '../../src/gateway/gateway.module';
import { ParleyWsAdapter } from '../../src/gateway/parley-ws.adapter';
import { Sockets } from '../../src/gateway/sockets';
import { MemoryEphemeralBus } from '../../src/infrastructure/memory/memory-ephemeral-bus';
import { MemoryNodeNotices } from '../../src/infrastructure/memory/memory-node-notices';
import { MemoryRelayBus } from '../../src/infrastructure/memory/memory-relay-bus';
import { RelayBus } from '../../src/application/ports/relay-bus';
import { MemoryRateLimits } from '../../src/infrastructure/memory/memory-rate-limits';
import { MemorySocketDirectory } from '../../src/infrastructure/memory/memory-socket-directory';
import { MemoryPresenceStore } from '../../src/infrastructure/memory/memory-presence-store';
import { Clock, SystemClock } from '../../src/kernel/clock';
import { Metrics } from '../../src/observability/metrics';
import { asConversationId, asMillis, asSeq, asUserId, type UserId } from '../../src/kernel/ids';
import { ALL_SERVER_FRAMES, type ClientFrameData } from '../../src/protocol/frames';
import { DEFAULT_LIMITS, type Limits } from '../../src/protocol/limits';
import type { Problem } from '../../src/protocol/errors';
import { compile } from '../../src/protocol/validation';
import { RawDevice } from './raw-device';

const validators = new Map(
  Object.entries(ALL_SERVER_FRAMES).map(([name, schema]) => [name, compile(schema)] as const),
);

/** Holds a frame against the published contract. @throws Error with what is wrong */
export function inspectServerFrame(frame: unknown): void {
  const { event, id, data, ...rest } = frame as Record<string, unknown>;
  const validator = validators.get(String(event));
  if (validator?.check(data) !== true || Object.keys(rest).length > 0) {
    const errors = JSON.stringify(validator?.errors(data));
    throw new Error(`against the contract: ${JSON.stringify(frame).slice(0, 500)} ${errors}`);
  }
  if (id !== undefined && typeof id !== 'string') throw new Error('an id that is no string');
}

/** What the gateway talks to, as a test sets it. */
export class Backstage {
  /** What `CommandBus.execute` answers. */
  execute: (command: object) => Promise<unknown> = () => Promise.reject(new Error('no command expected'));
  sync: (
    connection: Connection,
    data: ClientFrameData<'sync'>,
    id: string | undefined,
  ) => Promise<Problem | undefined> = () => Promise.resolve(undefined);
  receipts: () => Promise<Problem | undefined> = () => Promise.resolve(undefined);
  state: (conversationId: string) => Promise<unknown> = () => Promise.resolve(undefined);
  flushed = 0;
  hidingLastSeen: ReadonlySet<UserId> = new Set();
}

export interface GatewayHarness {
  readonly app: INestApplication;
  readonly url: string;
  readonly port: number;
  readonly backstage: Backstage;
  readonly hub: Hub;
  readonly sockets: Sockets;
  readonly counters: GatewayCounters;
  /** A device of a user, signed in; all it receives is held against the contract. */
  device(userId?: UserId, deviceId?: string): Promise<RawDevice>;
  /** A socket that has not authenticated. */
  stranger(): Promise<RawDevice>;
  connectionsOf(userId: UserId): readonly Connection[];
  stop(): Promise<void>;
}

export const tokenOf = (userId: string, signInId = 'sign-in', expiresAt = Date.now() + 3_600_000): string =>
  `${userId}/${signInId}/${expiresAt}`;

export const newUser = (): UserId => asUserId(randomUUID());

export function pushOf(conversationId: string, seq: number, body = 'hello'): Push {
  const frame = {
    event: 'message.sent',
    data: {
      conversationId,
      seq,
      at: '2026-11-22T10:00:00.000Z',
      by: conversationId,
      messageId: conversationId,
      clientMessageId: `c${seq}`,
      ordinal: seq + 1,
      content: { type: 'text', body },
    },
  };
  return {
    conversationId: asConversationId(conversationId),
    seq: asSeq(seq),
    bytes: Buffer.from(JSON.stringify(frame)),
  };
}

class TestTokens extends AccessTokens {
  override verify(token: string): Promise<AccessClaims | undefined> {
    const [userId, signInId, expiresAt] = token.split('/');
    const at = Number(expiresAt);
    if (userId === undefined || signInId === undefined || !(at > Date.now()))
      return Promise.resolve(undefined);
    return Promise.resolve({ userId: asUserId(userId), signInId, expiresAt: asMillis(at) });
  }
}

export interface HarnessOptions {
  readonly limits?: Partial<Limits>;
  readonly gateway?: Partial<GatewayLimits>;
  readonly config?: Partial<Config>;
}

export async function startGateway(options: HarnessOptions = {}): Promise<GatewayHarness> {
  const backstage = new Backstage();
  const config = {
    rateLimits: false,
    heartbeatMs: 25_000,
    authTimeoutMs: 10_000,
    ...options.config,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
  } as Config;
  const providers = [
    { provide: CONFIG, useValue: config },
    { provide: Clock, useClass: SystemClock },
    Metrics,
    { provide: AccessTokens, useClass: TestTokens },
    { provide: DeviceRegistry, useValue: { seen: () => Promise.resolve() } },
    { provide: EventLog, useValue: { epoch: () => Promise.resolve('epoch-1') } },
    { provide: PresenceStore, useClass: MemoryPresenceStore },
    { provide: LastSeenPrivacy, useValue: { hiding: () => Promise.resolve(backstage.hidingLastSeen) } },
    { provide: EphemeralBus, useClass: MemoryEphemeralBus },
    { provide: NodeNotices, useClass: MemoryNodeNotices },
    { provide: RelayBus, useFactory: () => new MemoryRelayBus() },
    { provide: RateLimits, useValue: new MemoryRateLimits() },
    {
      provide: SocketDirectory,
      useFactory: (clock: Clock) => new MemorySocketDirectory(clock, config.limits.socketsPerUserMax),
      inject: [Clock],
    },
    { provide: CommandBus, useValue: { execute: (command: object) => backstage.execute(command) } },
    { provide: Executor, useValue: { state: (id: string) => backstage.state(id) } },
    {
      provide: SyncService,
      useValue: {
        sync: (connection: Connection, data: ClientFrameData<'sync'>, id?: string) =>
          backstage.sync(connection, data, id),
      },
    },
    {
      provide: ReceiptAggregator,
      useValue: {
        delivered: () => backstage.receipts(),
        read: () => backstage.receipts(),
        flush: () => {
          backstage.flushed++;
          return Promise.resolve();
        },
      },
    },
    Hub,
  ];
  @Global()
  @Module({ providers, exports: providers.map((one) => ('provide' in one ? one.provide : one)) })
  class PortsModule {}

  const gatewayLimits = { ...GATEWAY_LIMITS_DEFAULT, tickMs: 20, ...options.gateway };
  const module = await Test.createTestingModule({ imports: [PortsModule, GatewayModule] })
    .overrideProvider(GATEWAY_LIMITS)
    .useValue(gatewayLimits)
    .compile();
  const app = module.createNestApplication();
  app.useLogger(false);
  app.useWebSocketAdapter(new ParleyWsAdapter(app));
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
  const url = `http://127.0.0.1:${port}`;
  const hub = app.get(Hub);
  return {
    app,
    url,
    port,
    backstage,
    hub,
    sockets: app.get(Sockets),
    counters: app.get(GatewayCounters),
    device: (userId = newUser(), deviceId?: string) =>
      RawDevice.signIn(url, tokenOf(userId), {
        inspect: inspectServerFrame,
        ...(deviceId === undefined ? {} : { deviceId }),
      }),
    stranger: () => RawDevice.open(url, { inspect: inspectServerFrame }),
    connectionsOf: (userId) => hub.connectionsOf(userId),
    stop: () => app.close(),
  };
}

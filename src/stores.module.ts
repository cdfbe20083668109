import { Global, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { EventLog } from './application/ports/event-log';
import { MessageIndex } from './application/ports/message-index';
import { NodeNotices } from './application/ports/node-notices';
import { EphemeralBus, PresenceStore } from './application/ports/presence';
import { RateLimits } from './application/ports/rate-limits';
import { RelayBus } from './application/ports/relay-bus';
import { SocketDirectory } from './application/ports/socket-directory';
import { ProjectionProgress } from './application/ports/projection-progress';
import { ApplicationSettings } from './application/settings';
import { CursorReads, HistoryReads, InboxReads } from './application/ports/read-models';
import { CONFIG, type Config } from './config/config';
import { MeasuredEventLog } from './infrastructure/event-log/measured/measured-event-log';
import { MemoryEphemeralBus } from './infrastructure/memory/memory-ephemeral-bus';
import { MemoryNodeNotices } from './infrastructure/memory/memory-node-notices';
import { MemoryPresenceStore } from './infrastructure/memory/memory-presence-store';
import { MemoryRateLimits } from './infrastructure/memory/memory-rate-limits';
import { MemoryRelayBus } from './infrastructure/memory/memory-relay-bus';
import { MemorySocketDirectory } from './infrastructure/memory/memory-socket-directory';
import { PostgresCursorReads } from './infrastructure/postgres/cursor-reads';
import { Database } from './infrastructure/postgres/database';
import { PostgresHistoryReads } from './infrastructure/postgres/history-reads';
import { PostgresInboxReads } from './infrastructure/postgres/inbox-reads';
import { PostgresMessageIndex } from './infrastructure/postgres/message-index';
import type { RedisPorts } from './infrastructure/redis/redis-ports';
import { Clock, SystemClock } from './kernel/clock';
import { Metrics } from './observability/metrics';
import type { Stores } from './stores';

/** What nodes know of each other: in Redis, or nothing. */
const among = (config: Config, redis: RedisPorts | undefined): Provider[] =>
  redis === undefined
    ? [
        {
          provide: PresenceStore,
          useFactory: (clock: Clock) => new MemoryPresenceStore(clock),
          inject: [Clock],
        },
        { provide: EphemeralBus, useClass: MemoryEphemeralBus },
        {
          provide: SocketDirectory,
          useFactory: (clock: Clock) => new MemorySocketDirectory(clock, config.limits.socketsPerUserMax),
          inject: [Clock],
        },
        { provide: NodeNotices, useClass: MemoryNodeNotices },
        { provide: RateLimits, useValue: new MemoryRateLimits() },
        { provide: RelayBus, useValue: new MemoryRelayBus() },
      ]
    : [
        { provide: PresenceStore, useValue: redis.presence },
        { provide: EphemeralBus, useValue: redis.bus },
        { provide: SocketDirectory, useValue: redis.directory },
        { provide: NodeNotices, useValue: redis.notices },
        { provide: RateLimits, useValue: redis.rates },
        { provide: RelayBus, useValue: redis.relay },
      ];
const READS = [
  { provide: InboxReads, useClass: PostgresInboxReads },
  { provide: HistoryReads, useClass: PostgresHistoryReads },
  { provide: CursorReads, useClass: PostgresCursorReads },
  { provide: MessageIndex, useClass: PostgresMessageIndex },
];

/** Binds every port to its adapter: the one place that knows which. */
@Global()
@Module({})
export class StoresModule {
  static of(config: Config, stores: Stores): DynamicModule {
    const open = [
      { provide: CONFIG, useValue: config },
      {
        provide: ApplicationSettings,
        useValue: { editWindowMs: config.editWindowMs, membersMax: config.limits.membersMax },
      },
      {
        provide: EventLog,
        useFactory: (metrics: Metrics) => new MeasuredEventLog(stores.eventLog, metrics),
        inject: [Metrics],
      },
      { provide: Database, useValue: stores.database },
      { provide: ProjectionProgress, useValue: stores.progress },
    ];
    const reads = READS.map(({ provide, useClass }) => ({
      provide,
      useFactory: (database: Database) => new useClass(database),
      inject: [Database],
    }));
    const own: Provider[] = [{ provide: Clock, useClass: SystemClock }, ...among(config, stores.redis)];
    const providers: Provider[] = [...open, ...own, ...reads];
    const exports = providers.map((provider) => ('provide' in provider ? provider.provide : provider));
    return { module: StoresModule, providers, exports };
  }
}

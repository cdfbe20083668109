import { Global, Module, type DynamicModule } from '@nestjs/common';
import { EventLog } from './application/ports/event-log';
import { MessageIndex } from './application/ports/message-index';
import { EphemeralBus, PresenceStore } from './application/ports/presence';
import { ProjectionProgress } from './application/ports/projection-progress';
import { ApplicationSettings } from './application/settings';
import { CursorReads, HistoryReads, InboxReads } from './application/ports/read-models';
import { CONFIG, type Config } from './config/config';
import { MeasuredEventLog } from './infrastructure/event-log/measured/measured-event-log';
import { MemoryEphemeralBus } from './infrastructure/memory/memory-ephemeral-bus';
import { MemoryPresenceStore } from './infrastructure/memory/memory-presence-store';
import { PostgresCursorReads } from './infrastructure/postgres/cursor-reads';
import { Database } from './infrastructure/postgres/database';
import { PostgresHistoryReads } from './infrastructure/postgres/history-reads';
import { PostgresInboxReads } from './infrastructure/postgres/inbox-reads';
import { PostgresMessageIndex } from './infrastructure/postgres/message-index';
import { Clock, SystemClock } from './kernel/clock';
import { Metrics } from './observability/metrics';
import type { Stores } from './stores';

const OWN = [
  { provide: Clock, useClass: SystemClock },
  { provide: PresenceStore, useFactory: (clock: Clock) => new MemoryPresenceStore(clock), inject: [Clock] },
  { provide: EphemeralBus, useClass: MemoryEphemeralBus },
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
    const providers = [...open, ...OWN, ...reads];
    return { module: StoresModule, providers, exports: providers.map(({ provide }) => provide) };
  }
}

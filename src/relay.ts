import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { EventLog } from './application/ports/event-log';
import type { RelayBus } from './application/ports/relay-bus';
import type { Config } from './config/config';
import { relayShard } from './delivery/relay/relay-shard';
import type { Database } from './infrastructure/postgres/database';
import { LeasedWork } from './infrastructure/postgres/leased-work';
import type { Metrics } from './observability/metrics';

export interface RelayParts {
  readonly config: Config;
  readonly eventLog: EventLog;
  readonly database: Database;
  readonly bus: RelayBus;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/**
 * The role `relay` (docs/adr/0038): of all processes that have it, one a shard reads the log for the nodes that devices are
 * connected to. The others stand by.
 */
export class Relay {
  private readonly works: readonly LeasedWork[];

  constructor(parts: RelayParts) {
    const { config, eventLog, database, log } = parts;
    const shards = config.relayAbove === 0 ? 0 : eventLog.shards;
    this.works = Array.from(
      { length: shards },
      (_, shard) =>
        new LeasedWork({
          database,
          name: `relay@${shard}`,
          owner: `${hostname()}/${process.pid}`,
          work: (_fence, signal, term) =>
            relayShard({ ...parts, above: config.relayAbove, shard, term, signal }),
          warn: (message) => {
            log.warn({ from: 'relay' }, message);
          },
        }),
    );
  }

  start(): void {
    for (const work of this.works) work.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.works.map((work) => work.stop()));
  }
}

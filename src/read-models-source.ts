import { setTimeout as sleep } from 'node:timers/promises';
import { EventLogUnavailable, ShardAway, type EventLog } from './application/ports/event-log';
import { StoreUnavailable } from './application/ports/store-unavailable';
import type { Database } from './infrastructure/postgres/database';
import { areSources, bindToLog, type Binding } from './infrastructure/postgres/source-log';

/** A start waits so long for the log to say which one it is; then the node serves, and goes on asking. */
const BIND_WAIT_MS_MAX = 2_000;
const RETRY_MS = 1_000;

/**
 * Sees to it that the read models are of the log that this node has, before anything is projected into them. With the log
 * away that takes until it is back; nothing could be projected before anyway.
 */
export class ReadModelsSource {
  private readonly ending = new AbortController();
  /** Resolves when they are of this log; never, when the node ends before. */
  readonly bound: Promise<void>;

  constructor(
    private readonly database: Database,
    private readonly eventLog: EventLog,
    private readonly log: { warn(fields: object, message: string): void },
  ) {
    this.bound = this.bind();
  }

  /** @throws what binding throws, but for a store that is away */
  async settled(): Promise<void> {
    await Promise.race([this.bound, sleep(BIND_WAIT_MS_MAX, undefined, { ref: false })]);
  }

  end(): void {
    this.ending.abort();
  }

  private async bind(): Promise<void> {
    while (!this.hasEnded()) {
      try {
        this.tell(await bindToLog(this.database, this.eventLog));
        return;
      } catch (error) {
        if (this.hasEnded()) break;
        // Those that are away are held against the read models when they come, before they are used.
        if (error instanceof ShardAway && (await this.isBoundToPart())) return;
        if (!(error instanceof EventLogUnavailable || error instanceof StoreUnavailable)) throw error;
        await sleep(RETRY_MS, undefined, { signal: this.ending.signal, ref: false }).catch(() => undefined);
      }
    }
    await new Promise<never>(() => undefined);
  }

  /** The shards that are there are among those that the read models were made from. */
  private async isBoundToPart(): Promise<boolean> {
    const shards = Array.from({ length: this.eventLog.shards }, (_, n) => this.eventLog.shard(n));
    const asked = await Promise.allSettled(shards.map((shard) => shard.numbering()));
    const there = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    if (there.length === 0) return false;
    return areSources(this.database, there).catch(() => false);
  }

  private hasEnded(): boolean {
    return this.ending.signal.aborted;
  }

  private tell(binding: Binding): void {
    if (binding.kind !== 'anew') return;
    this.log.warn(
      { before: binding.before },
      'the event log is not the one that the read models were made from, or an older copy of it: they are made anew, from its beginning',
    );
  }
}

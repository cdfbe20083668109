import { setTimeout as sleep } from 'node:timers/promises';
import type { Database, Queryable } from './database';
import { Lease, LEASE_MS, LeaseLost } from './lease';

/** How long a standby waits before it asks for the lease again. */
const STANDBY_POLL_MS = 1_000;
const RENEW_INTERVAL_MS = Math.floor(LEASE_MS / 3);

/** First statement of a writing transaction: rejects with LeaseLost when another worker took over. */
export type Fence = (client: Queryable) => Promise<void>;

export interface LeasedWorkOptions {
  readonly database: Database;
  /** Workers of one name exclude each other. */
  readonly name: string;
  /** Who holds the lease, for people who look at the table. */
  readonly owner: string;
  /**
   * Does the work again and again until `signal` aborts; every transaction that writes begins with the fence. What is
   * told to others carries the term, which is higher than that of whoever worked before.
   */
  readonly work: (fence: Fence, signal: AbortSignal, term: number) => Promise<void>;
  readonly warn: (message: string) => void;
}

/**
 * Work that one process of many does at a time. The others stand by and take over within STANDBY_POLL_MS of its
 * death, and within LEASE_MS of its silence; one that was only stopped for a while finds its fence closed.
 */
export class LeasedWork {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;

  constructor(private readonly options: LeasedWorkOptions) {}

  /** A second start changes nothing. */
  start(): void {
    this.running ??= this.run();
  }

  /** Resolves when the work in hand has ended and the lease is given back. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { database, name, owner, warn } = this.options;
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        const lease = await Lease.acquire(database, name, owner);
        if (lease !== undefined) await this.hold(lease);
      } catch (error) {
        if (!(error instanceof LeaseLost)) warn(`${name}: ${String(error)}`);
      }
      await pause(STANDBY_POLL_MS, signal);
    }
  }

  private async hold(lease: Lease): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.stopping.signal, lease.lost, over.signal]);
    const renewing = this.keepRenewing(lease, signal);
    try {
      await this.options.work((client) => lease.check(client), signal, lease.term);
    } finally {
      over.abort();
      await renewing;
      await lease.release();
    }
  }

  private async keepRenewing(lease: Lease, signal: AbortSignal): Promise<void> {
    await pause(RENEW_INTERVAL_MS, signal);
    while (!signal.aborted) {
      // A renewal that fails says nothing; the fence decides.
      await lease.renew().catch(() => undefined);
      await pause(RENEW_INTERVAL_MS, signal);
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

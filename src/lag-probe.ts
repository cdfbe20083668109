import type { EventLog } from './application/ports/event-log';
import { CONVERSATION_STREAM_PREFIX } from './domain/conversation/streams';
import type { Clock } from './kernel/clock';
import type { Position } from './kernel/position';

/** Often enough for an alert that waits a minute, seldom enough to cost nothing. */
const PROBE_INTERVAL_MS = 5_000;
/** Pages without anything of ours that one look passes over; the next look begins there again. */
const PAGES_MAX = 8;

/** Somebody who reads the log from its beginning to its end, and is somewhere in it. */
export interface Follower {
  /** undefined: not known, and nothing is told. */
  reached(): Promise<Position | undefined> | Position | undefined;
  tell(lagMs: number): void;
}

/**
 * Looks, every few seconds, how old the oldest event is that a follower has not reached. It asks the log and not
 * the follower: one that stands still says nothing, and that is when the number matters.
 */
export class LagProbe {
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly log: EventLog,
    private readonly clock: Clock,
    private readonly followers: readonly Follower[],
  ) {}

  start(): void {
    this.timer = setTimeout(() => {
      this.looking = this.look().then(() => {
        if (!this.stopped) this.start();
      });
    }, PROBE_INTERVAL_MS).unref();
  }

  /** Resolves when nothing is asked any more: the stores may close then. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.looking;
  }

  /** Once, now. Never rejects: with the log away, the numbers stay what they were. */
  async look(): Promise<void> {
    for (const follower of this.followers) {
      try {
        const reached = await follower.reached();
        if (reached !== undefined) follower.tell(await this.lagAfter(reached));
      } catch {
        // That the log or Postgres is away is told by their own checks.
      }
    }
  }

  private async lagAfter(reached: Position): Promise<number> {
    let after = reached;
    for (let page = 0; page < PAGES_MAX; page++) {
      const read = await this.log.readAll({
        limit: 1,
        filter: { streamPrefixes: [CONVERSATION_STREAM_PREFIX] },
        after,
      });
      const [first] = read.events;
      if (first !== undefined) return Math.max(0, this.clock.now() - first.created);
      if (read.endOfLog) return 0;
      after = read.next;
    }
    return 0;
  }
}

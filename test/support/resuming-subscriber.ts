import { setTimeout as sleep } from 'node:timers/promises';
import type { EventLog, LogEvent, LogFilter } from '../../src/application/ports/event-log';
import type { Position } from '../../src/kernel/position';

const TRY_AGAIN_MS = 50;

/** Follows a log as the port says that readers do: whenever the subscription ends, again from its last position. */
export class ResumingSubscriber {
  /** In the order in which they came; whatever came twice is in here twice. */
  readonly events: LogEvent[] = [];
  /** How often it had to begin again. */
  resumed = 0;
  /** It has been told something by the subscription that it has, which therefore is there. */
  isFollowing = false;
  private at: Position | 'start' = 'start';
  private readonly stopping = new AbortController();
  private readonly running: Promise<void>;

  constructor(log: EventLog, filter: LogFilter) {
    this.running = this.run(log, filter, this.stopping.signal);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(log: EventLog, filter: LogFilter, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        for await (const item of log.subscribe({ after: this.at, filter, signal })) {
          this.isFollowing = true;
          if (item.kind === 'event') this.events.push(item.event);
          this.at = item.kind === 'event' ? item.event.position : item.position;
        }
      } catch {
        // Away for the moment; what matters is that nothing is missing or doubled in the end.
      }
      this.isFollowing = false;
      if (signal.aborted) return;
      this.resumed += 1;
      await sleep(TRY_AGAIN_MS);
    }
  }
}

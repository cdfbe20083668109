import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { EventLog, EventLogUnavailable, type LogEvent } from '../application/ports/event-log';
import { conversationOfStream } from '../domain/conversation/streams';
import { furthest, hasPassed, type Position } from '../kernel/position';
import { Metrics } from '../observability/metrics';
import { CONVERSATIONS_ONLY, Feed } from './feed';

/** How often the log is held against what the feed has taken: three times in the default heartbeat of a socket. */
export const FEED_PROBE_MS = 8_000;
/** Events looked at by one probe, the newest; a node that takes more than 2,500 a second looks at a part. */
export const PROBE_EVENTS_MAX = 20_000;
/** Small, and with a pause after each: devices wait behind whatever a probe does in one go. */
const PAGE_EVENTS = 128;
const PAGE_PAUSE_MS = 2;

/**
 * A subscription promises every event, and this is for the day on which one does not keep it. A revision that is
 * missing shows with the next event of its conversation (conversation-lanes.ts); but the last event of a conversation
 * has none after it, and a subscription that has gone silent looks like a quiet night. So the end of the log is read
 * every FEED_PROBE_MS: what was there at the probe before, and has not come since, is handed out from the log, and a
 * subscription that has said nothing at all meanwhile is restarted.
 */
@Injectable()
export class FeedProbe implements OnApplicationShutdown {
  private readonly logger = new Logger(FeedProbe.name);
  private timer: NodeJS.Timeout | undefined;
  private probing: Promise<void> | undefined;
  /** Everything up to here has been looked at. */
  private checked: Position | undefined;
  /** The end of the log at the last probe, and how much the feed had heard by then. */
  private before: { readonly tail: Position; readonly heard: number } | undefined;

  constructor(
    private readonly log: EventLog,
    private readonly feed: Feed,
    private readonly metrics: Metrics,
  ) {}

  start(): void {
    this.timer ??= setInterval(() => {
      // One at a time: a slow log must not gather probes.
      this.probing ??= this.probe().finally(() => {
        this.probing = undefined;
      });
    }, FEED_PROBE_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.probing;
  }

  /** One probe. Never rejects: a log that cannot be read is the feed's own trouble. */
  async probe(): Promise<void> {
    const taken = this.feed.position;
    if (taken === undefined) return;
    const { before } = this;
    const due = before === undefined ? taken : furthest(taken, before.tail);
    try {
      const { tail, events } = await this.read(this.checked ?? this.feed.origin, due);
      this.repair(events);
      if (before !== undefined && this.feed.heard === before.heard && !hasPassed(taken, before.tail)) {
        this.logger.warn('the subscription has gone silent; it is taken up again');
        this.feed.restart();
      }
      this.checked = due;
      this.feed.forgetUpTo(due);
      this.before = { tail, heard: this.feed.heard };
    } catch (error) {
      if (!(error instanceof EventLogUnavailable)) this.logger.error(`a probe failed: ${String(error)}`);
    }
  }

  /** The events after `from` up to `to`, oldest first, and the position of the log's last one. */
  private async read(from: Position, to: Position): Promise<{ tail: Position; events: readonly LogEvent[] }> {
    const found: LogEvent[] = [];
    let tail: Position | undefined;
    let after: Position | undefined;
    for (let looked = 0; looked < PROBE_EVENTS_MAX;) {
      const page = await this.log.readAll({
        direction: 'backwards',
        limit: PAGE_EVENTS,
        filter: CONVERSATIONS_ONLY,
        ...(after === undefined ? {} : { after }),
      });
      // The newest of each shard are in the first page.
      tail ??= page.events.map(({ position }) => position).reduce(furthest, from);
      for (const event of page.events) {
        if (hasPassed(to, event.position) && !hasPassed(from, event.position)) found.push(event);
      }
      if (page.endOfLog || hasPassed(from, page.next)) break;
      looked += PAGE_EVENTS;
      after = page.next;
      await sleep(PAGE_PAUSE_MS);
    }
    return { tail: tail ?? from, events: found.reverse() };
  }

  private repair(events: readonly LogEvent[]): void {
    for (const event of events) {
      if (conversationOfStream(event.stream) === undefined || this.feed.hasTaken(event)) continue;
      this.logger.warn(`event ${event.revision} of ${event.stream} did not come; it is read from the log`);
      this.metrics.feedRepairs.inc();
      this.feed.repair(event);
    }
  }
}

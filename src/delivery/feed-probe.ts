import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { EventLog, EventLogUnavailable, type LogEvent } from '../application/ports/event-log';
import { conversationOfStream } from '../domain/conversation/streams';
import {
  furthest,
  hasPassed,
  nearest,
  POSITION_START,
  standsIn,
  within,
  type Position,
} from '../kernel/position';
import { Metrics } from '../observability/metrics';
import { CONVERSATIONS_ONLY, Feed } from './feed';

/** How often the log is held against what the feed has taken: three times in the default heartbeat of a socket. */
export const FEED_PROBE_MS = 8_000;
/** Events looked at by one probe; what is left is looked at soon, by the next. */
export const PROBE_EVENTS_MAX = 20_000;
/** After a probe that did not come to the end: then a node is looked after that takes more than 2,500 a second. */
export const PROBE_AGAIN_MS = 100;
/** Small, and with a pause after each: devices wait behind whatever a probe does in one go. */
const PAGE_EVENTS = 128;
const PAGE_PAUSE_MS = 2;

/**
 * A subscription promises every event, and this is for the day on which one does not keep it. A revision that is
 * missing shows with the next event of its conversation (conversation-lanes.ts); but the last event of a conversation
 * has none after it, and a subscription that has gone silent looks like a quiet night. So the log is read again every
 * FEED_PROBE_MS, from where the last probe came to: what was there at the probe before, and has not come since, is
 * handed out from the log, and a subscription that has said nothing at all meanwhile is restarted. Nothing is ever
 * passed over: a probe that cannot look at everything goes on where it stopped.
 */
@Injectable()
export class FeedProbe implements OnApplicationShutdown {
  private readonly logger = new Logger(FeedProbe.name);
  private timer: NodeJS.Timeout | undefined;
  private probing: Promise<void> = Promise.resolve();
  private isStopped = false;
  /** Everything up to here has been looked at. */
  private checked: Position | undefined;
  /** The end of the log at the last probe, and how much the feed had heard by then, and how far it was. */
  private before: { readonly tail: Position; readonly heard: number; readonly reached: Position } | undefined;

  /** The last probe did not come to the end. */
  private isAgain = false;

  constructor(
    private readonly log: EventLog,
    private readonly feed: Feed,
    private readonly metrics: Metrics,
  ) {}

  start(): void {
    if (this.timer === undefined) this.probeIn(FEED_PROBE_MS);
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.probing;
  }

  /** One probe. Never rejects: a log that cannot be read is the feed's own trouble. @returns whether more is due */
  async probe(): Promise<boolean> {
    const taken = this.feed.position;
    if (taken === undefined) return false;
    const { before } = this;
    const due = before === undefined ? taken : furthest(taken, before.tail);
    try {
      const tail = await this.log.headOf(CONVERSATIONS_ONLY);
      const checked = await this.look(this.feed.relayed.past(this.checked ?? this.feed.origin), due);
      if (this.isSilent(taken)) {
        this.logger.warn('the subscription has gone silent; it is taken up again');
        this.feed.restart();
      }
      this.checked = checked;
      this.feed.forgetUpTo(checked);
      this.before = { tail, heard: this.feed.heard, reached: this.feed.reached };
      this.isAgain = !hasPassed(checked, this.ownPart(due, checked));
      return this.isAgain;
    } catch (error) {
      if (!(error instanceof EventLogUnavailable)) this.logger.error(`a probe failed: ${String(error)}`);
      return false;
    }
  }

  /** One after the other: a slow log must not gather probes. */
  private probeIn(delayMs: number): void {
    if (this.isStopped) return;
    this.timer = setTimeout(() => {
      this.probing = this.probe().then((more) => {
        this.probeIn(more ? PROBE_AGAIN_MS : FEED_PROBE_MS);
      });
    }, delayMs).unref();
  }

  /** The whole subscription, or, while it goes on in other shards, one shard of it. */
  private isSilent(taken: Position): boolean {
    const { before } = this;
    if (before === undefined) return false;
    const { heard, reached } = this.feed;
    if (heard === before.heard) return !hasPassed(taken, before.tail);
    // So soon after the last probe a shard may only be slow.
    if (this.isAgain) return false;
    return !hasPassed(before.reached, reached) && standsIn(reached, before.reached, before.tail);
  }

  /** Repairs what is missing after `from` up to `to`. @returns up to where everything was looked at */
  private async look(from: Position, due: Position): Promise<Position> {
    const shards = this.feed.relayed.ownAfter(from);
    const to = this.ownPart(due, from);
    let after = from;
    for (let looked = 0; looked < PROBE_EVENTS_MAX && !hasPassed(after, to); looked += PAGE_EVENTS) {
      if (looked > 0) await sleep(PAGE_PAUSE_MS);
      const page = await this.log.readAll({
        direction: 'forwards',
        limit: PAGE_EVENTS,
        filter: CONVERSATIONS_ONLY,
        ...(after === POSITION_START ? {} : { after }),
        ...(shards === undefined ? {} : { shards }),
      });
      this.repair(page.events.filter(({ position }) => hasPassed(to, position)));
      if (page.endOfLog) return to;
      after = page.next;
    }
    return nearest(to, after);
  }

  /** What relays bring is checked by them. */
  private ownPart(due: Position, checked: Position): Position {
    const shards = this.feed.relayed.ownAfter(checked);
    return shards === undefined ? due : within(shards, due, checked);
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

import { Inject, Injectable, Logger } from '@nestjs/common';
import { EventLogUnavailable } from '../application/ports/event-log';
import { receivers } from '../domain/conversation/audience';
import { asSeq, type ConversationId } from '../kernel/ids';
import { advance, Audiences, type FeedEvent } from './audiences';
import { backoffMs, pause, stopSignal, type Backoff } from './backoff';
import { FanOut } from './fan-out';
import type { Outlet } from './outlet';

/** Conversations whose audience is being loaded at once; beyond it the feed waits. */
export const LANES_MAX = 64;
/** Events that wait for audiences at once; beyond it the feed waits. */
export const LANE_EVENTS_MAX = 10_000;
const RELOAD: Backoff = { baseMs: 20, maxMs: 2_000 };

interface Entry {
  readonly event: FeedEvent;
  readonly handled: () => void;
}

/**
 * Order within a conversation, and none between: an event whose audience is known is fanned out at once; one
 * whose audience must first be loaded, or before which others are missing, opens a lane, and what follows in
 * the same conversation waits there. A cold conversation delays nobody but itself.
 */
@Injectable()
export class ConversationLanes {
  private readonly logger = new Logger(ConversationLanes.name);
  private readonly stopping = stopSignal();
  private readonly lanes = new Map<ConversationId, Entry[]>();
  private entries = 0;
  /** Those who wait for room; at most the feed itself. */
  private readonly waitingForRoom: (() => void)[] = [];

  constructor(
    private readonly audiences: Audiences,
    @Inject(FanOut) private readonly outlet: Outlet,
  ) {}

  /** Events taken and not yet handed out. */
  get waiting(): number {
    return this.entries;
  }

  /** The next event of its conversation; `handled` is called once it has been dealt with, maybe before returning. */
  take(event: FeedEvent, handled: () => void): void {
    const lane = this.lanes.get(event.conversationId);
    if (lane !== undefined) {
      lane.push({ event, handled });
      this.entries++;
      return;
    }
    const known = this.audiences.get(event.conversationId, event.shard);
    const next = (known?.seq ?? -1) + 1;
    if (known === undefined && this.outlet.isIdle && event.seq > 0) {
      // Nobody is here to have it, and the audience can be loaded when somebody is.
      handled();
    } else if (event.seq <= next) {
      this.deliverNow(event);
      handled();
    } else {
      this.open({ event, handled });
    }
  }

  /** undefined: there is room for more; else resolves when there is. */
  room(): Promise<void> | undefined {
    if (this.hasRoom()) return undefined;
    return new Promise((resolve) => this.waitingForRoom.push(resolve));
  }

  /** Events of the shard come no more; none may wait. */
  forgetShard(shard: number): void {
    this.audiences.forgetShard(shard);
  }

  /** Gives up what waits; the feed is over. */
  stop(): void {
    this.stopping.abort();
  }

  private open(entry: Entry): void {
    const id = entry.event.conversationId;
    const lane = [entry];
    this.lanes.set(id, lane);
    this.entries++;
    void this.drain(id, lane);
  }

  private async drain(id: ConversationId, lane: Entry[]): Promise<void> {
    for (let entry = lane[0]; entry !== undefined; entry = lane[0]) {
      await this.handle(entry.event);
      lane.shift();
      this.entries--;
      entry.handled();
      this.admit();
    }
    this.lanes.delete(id);
    this.admit();
  }

  private admit(): void {
    if (!this.hasRoom()) return;
    for (const resolve of this.waitingForRoom.splice(0)) resolve();
  }

  private hasRoom(): boolean {
    return this.lanes.size < LANES_MAX && this.entries < LANE_EVENTS_MAX;
  }

  /** While the log is away it is asked again, for as long as it takes: dropping the event would lose it here. */
  private async handle(event: FeedEvent): Promise<void> {
    for (let attempt = 0; !this.stopping.signal.aborted; attempt++) {
      try {
        await this.catchUp(event);
        this.deliver(event);
        return;
      } catch (error) {
        if (!(error instanceof EventLogUnavailable)) {
          this.giveUp(event, error);
          return;
        }
        await pause(backoffMs(attempt, RELOAD), this.stopping.signal);
      }
    }
  }

  /** Brings the audience to the event before this one; what the subscription left out is delivered on the way. */
  private async catchUp({ conversationId, seq, shard }: FeedEvent): Promise<void> {
    const known = this.audiences.get(conversationId, shard);
    if (known === undefined) {
      const audience = await this.audiences.load(conversationId, seq === 0 ? -1 : asSeq(seq - 1));
      if (audience !== undefined) this.audiences.set(audience, shard);
      return;
    }
    if (seq <= known.seq + 1) return;
    this.logger.warn(
      `events ${known.seq + 1} to ${seq - 1} of ${conversationId} were left out; reading them`,
    );
    for await (const missed of this.audiences.read(conversationId, asSeq(known.seq + 1), asSeq(seq - 1))) {
      this.deliver(missed);
    }
  }

  /** One turn of the event loop. An event that is known already, as after a reconnect, is not delivered again. */
  private deliver(event: FeedEvent): void {
    const before = this.audiences.get(event.conversationId, event.shard);
    if (before !== undefined && event.seq <= before.seq) return;
    const after = advance(before, event);
    if (after === undefined) return;
    this.audiences.set(after, event.shard);
    if (event.recorded !== undefined && !this.outlet.isIdle) {
      this.outlet.deliver(event.recorded, receivers(before, after, event.recorded), after, event);
    }
  }

  private deliverNow(event: FeedEvent): void {
    try {
      this.deliver(event);
    } catch (error) {
      this.giveUp(event, error);
    }
  }

  /** A bug or a damaged stream: this conversation's event is left to `sync`, the others must not suffer. */
  private giveUp({ conversationId, seq, shard }: FeedEvent, error: unknown): void {
    this.audiences.forget(conversationId, shard);
    this.logger.error({ err: error, conversationId, seq }, 'an event cannot be delivered live');
  }
}

import { Injectable } from '@nestjs/common';
import { beginStep } from '../application/ports/tracing';
import type { Audience } from '../domain/conversation/audience';
import type { Recorded } from '../domain/conversation/events';
import { Clock } from '../kernel/clock';
import type { UserId } from '../kernel/ids';
import { Metrics } from '../observability/metrics';
import { ActivityHints } from './activity-hints';
import type { Push } from './connection';
import { toEventFrame } from './event-frame';
import { Hub } from './hub';
import { concernsAlone, isVeryLarge, plan } from './plan';
import { ReceiptSummaries } from './receipt-summaries';

/**
 * Hands an event to the sockets that are to have it: one encoding per form of it, no waiting for anybody. In very
 * large groups only those devices have it that focus the conversation; the others get hints, and what they miss by
 * `sync` (docs/adr/0018).
 */
@Injectable()
export class FanOut {
  private readonly isConnected = (userId: UserId): boolean => this.hub.isConnected(userId);

  constructor(
    private readonly hub: Hub,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
    private readonly summaries: ReceiptSummaries,
    private readonly activity: ActivityHints,
  ) {}

  /**
   * @param audience as of the event
   * @param traceparent of what brought the event here, when that is traced
   */
  deliver(recorded: Recorded, receivers: Iterable<UserId>, audience: Audience, traceparent?: string): void {
    const { conversationId, seq, event } = recorded;
    const step = beginStep('push', 'internal', traceparent);
    if ('packed' in event) this.summaries.note(conversationId, seq, event);
    this.push(recorded, receivers, audience);
    step?.end(undefined, { 'parley.sequence': seq });
  }

  private push(recorded: Recorded, receivers: Iterable<UserId>, audience: Audience): void {
    const isOpen = !isVeryLarge(audience);
    let isHinted = false;
    for (const variant of plan(recorded, receivers, this.isConnected)) {
      const push = encode(variant.recorded);
      for (const userId of variant.userIds) {
        if (isOpen) for (const connection of this.hub.connectionsOf(userId)) connection.push(push);
        else if (this.pushFocused(recorded, push, userId)) isHinted = true;
      }
      if (recorded.event.type === 'MessageSent') {
        this.metrics.sendToDeliveredMs.observe(Math.max(0, this.clock.now() - recorded.at));
      }
    }
    if (isHinted) this.activity.note(audience);
  }

  /** @returns true when a device is left that a hint will do for */
  private pushFocused(recorded: Recorded, push: Push, userId: UserId): boolean {
    const { conversationId, seq } = recorded;
    const concern = concernsAlone(recorded, userId);
    let isHinted = false;
    for (const connection of this.hub.connectionsOf(userId)) {
      if (concern === 'push' || connection.focused === conversationId) {
        connection.push(push);
        continue;
      }
      connection.withhold(conversationId, seq);
      if (concern === 'resync') connection.catchUp(conversationId);
      else isHinted = true;
    }
    return isHinted;
  }
}

const encode = (recorded: Recorded): Push => ({
  conversationId: recorded.conversationId,
  seq: recorded.seq,
  bytes: Buffer.from(JSON.stringify(toEventFrame(recorded))),
});

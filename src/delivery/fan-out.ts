import { Injectable } from '@nestjs/common';
import { beginStep } from '../application/ports/tracing';
import type { Audience } from '../domain/conversation/audience';
import type { Recorded } from '../domain/conversation/events';
import { Clock } from '../kernel/clock';
import type { UserId } from '../kernel/ids';
import { Metrics } from '../observability/metrics';
import { ActivityHints } from './activity-hints';
import type { Push } from './connection';
import { Hub } from './hub';
import type { Outlet } from './outlet';
import { concernsAlone } from './plan';
import { planned, type PlannedEvent, type VeryLarge } from './planned';
import { ReceiptSummaries } from './receipt-summaries';

/**
 * Hands an event to the sockets that are to have it: one encoding per form of it, no waiting for anybody. In very
 * large groups only those devices have it that focus the conversation; the others get hints, and what they miss by
 * `sync` (docs/adr/0018).
 */
@Injectable()
export class FanOut implements Outlet {
  private readonly isConnected = (userId: UserId): boolean => this.hub.isConnected(userId);

  constructor(
    private readonly hub: Hub,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
    private readonly summaries: ReceiptSummaries,
    private readonly activity: ActivityHints,
  ) {}

  get isIdle(): boolean {
    return this.hub.size === 0;
  }

  deliver(
    recorded: Recorded,
    receivers: Iterable<UserId>,
    audience: Audience,
    { traceparent }: { readonly traceparent: string | undefined },
  ): void {
    this.handOut(planned(recorded, receivers, audience, this.isConnected), traceparent);
  }

  /** An event that this node, or a relay for it, has planned. */
  handOut(event: PlannedEvent, traceparent?: string): void {
    const { conversationId, seq, reach, forms } = event;
    const step = beginStep('push', 'internal', traceparent);
    if (reach !== undefined) this.summaries.note(conversationId, seq, reach);
    if (forms.length > 0) this.push(event);
    step?.end(undefined, { 'parley.sequence': seq });
  }

  private push({ conversationId, seq, forms, sentAt, veryLarge }: PlannedEvent): void {
    let isHinted = false;
    for (const { bytes, userIds } of forms) {
      const push = { conversationId, seq, bytes };
      for (const userId of userIds) {
        if (veryLarge === undefined)
          for (const connection of this.hub.connectionsOf(userId)) connection.push(push);
        else if (this.pushFocused(push, veryLarge, userId)) isHinted = true;
      }
    }
    if (sentAt !== undefined) this.metrics.sendToDeliveredMs.observe(Math.max(0, this.clock.now() - sentAt));
    if (isHinted && veryLarge !== undefined) this.activity.note({ conversationId, seq, ...veryLarge });
  }

  /** @returns true when a device is left that a hint will do for */
  private pushFocused(push: Push, { concern }: VeryLarge, userId: UserId): boolean {
    const { conversationId, seq } = push;
    const alone = concernsAlone(concern, userId);
    let isHinted = false;
    for (const connection of this.hub.connectionsOf(userId)) {
      if (alone === 'push' || connection.focused === conversationId) {
        connection.push(push);
        continue;
      }
      connection.withhold(conversationId, seq);
      if (alone === 'resync') connection.catchUp(conversationId);
      else isHinted = true;
    }
    return isHinted;
  }
}

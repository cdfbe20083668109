import { Injectable } from '@nestjs/common';
import { beginStep } from '../application/ports/tracing';
import type { Recorded } from '../domain/conversation/events';
import { Clock } from '../kernel/clock';
import type { UserId } from '../kernel/ids';
import { Metrics } from '../observability/metrics';
import type { Push } from './connection';
import { toEventFrame } from './event-frame';
import { Hub } from './hub';
import { plan } from './plan';
import { ReceiptSummaries } from './receipt-summaries';

/** Hands an event to the sockets that are to have it: one encoding per form of it, no waiting for anybody. */
@Injectable()
export class FanOut {
  private readonly isConnected = (userId: UserId): boolean => this.hub.isConnected(userId);

  constructor(
    private readonly hub: Hub,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
    private readonly summaries: ReceiptSummaries,
  ) {}

  /** @param traceparent of what brought the event here, when that is traced */
  deliver(recorded: Recorded, receivers: Iterable<UserId>, traceparent?: string): void {
    const { conversationId, seq, event } = recorded;
    const step = beginStep('push', 'internal', traceparent);
    if ('packed' in event) this.summaries.note(conversationId, seq, event);
    this.push(recorded, receivers);
    step?.end(undefined, { 'parley.sequence': seq });
  }

  private push(recorded: Recorded, receivers: Iterable<UserId>): void {
    for (const variant of plan(recorded, receivers, this.isConnected)) {
      const push = encode(variant.recorded);
      for (const userId of variant.userIds) {
        for (const connection of this.hub.connectionsOf(userId)) connection.push(push);
      }
      if (recorded.event.type === 'MessageSent') {
        this.metrics.sendToDeliveredMs.observe(Math.max(0, this.clock.now() - recorded.at));
      }
    }
  }
}

const encode = (recorded: Recorded): Push => ({
  conversationId: recorded.conversationId,
  seq: recorded.seq,
  bytes: Buffer.from(JSON.stringify(toEventFrame(recorded))),
});

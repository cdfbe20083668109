import { setTimeout as pause } from 'node:timers/promises';
import {
  EventStoreDBClient,
  type PersistentSubscriptionToAllResolvedEvent,
  type PersistentSubscriptionToStream,
} from '@eventstore/db-client';
import { taker } from './persistent-consumer';

const AGAIN_MS = 50;
const HELD_MS_MAX = 40;

/** What one consumer did with events, by id. */
export type Settled = Map<string, 'acknowledged' | 'parked'>;

/**
 * One consumer of a group, which takes its time, refuses some messages, and comes back when the server went
 * away. What it settled and did not live to see settled it gets again.
 */
export class RestlessConsumer {
  private ended = false;
  private readonly running: Promise<void>;
  redelivered = 0;

  constructor(
    private readonly url: string,
    private readonly subscribe: (client: EventStoreDBClient) => PersistentSubscriptionToStream,
    private readonly settled: Settled,
    private readonly random: () => number,
  ) {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.ended = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.ended) {
      const client = EventStoreDBClient.connectionString(this.url);
      const subscription = this.subscribe(client);
      // A server that dies may end a subscription twice; whoever reads it hears of the first time.
      subscription.on('error', () => undefined);
      const leaving = setInterval(() => {
        if (this.ended) subscription.unsubscribe().catch(() => undefined);
      }, AGAIN_MS);
      try {
        await this.consume(subscription);
      } catch {
        // The server went, or dropped everybody: it is looked for again.
        await pause(AGAIN_MS);
      } finally {
        clearInterval(leaving);
        await client.dispose();
      }
    }
  }

  private async consume(subscription: PersistentSubscriptionToStream): Promise<void> {
    const messages = taker(subscription);
    for (;;) {
      const [message] = await messages.take(1);
      if (message === undefined) return;
      // Nobody waits for one message before the next is taken: several are held when the server dies.
      void this.settle(subscription, message as PersistentSubscriptionToAllResolvedEvent).catch(
        () => undefined,
      );
    }
  }

  private async settle(
    subscription: PersistentSubscriptionToStream,
    message: PersistentSubscriptionToAllResolvedEvent,
  ): Promise<void> {
    if (message.retryCount > 0) this.redelivered++;
    const id = String(message.event?.id);
    const choice = this.random();
    await pause(this.random() * HELD_MS_MAX);
    if (choice < 0.1) await subscription.nack('retry', 'not now', message);
    else if (choice < 0.15) {
      await subscription.nack('park', 'never', message);
      this.settled.set(id, 'parked');
    } else {
      await subscription.ack(message);
      this.settled.set(id, 'acknowledged');
    }
  }
}

import type {
  PersistentSubscriptionToAll,
  PersistentSubscriptionToAllResolvedEvent,
  PersistentSubscriptionToStream,
  PersistentSubscriptionToStreamResolvedEvent,
} from '@eventstore/db-client';

type Message = PersistentSubscriptionToAllResolvedEvent | PersistentSubscriptionToStreamResolvedEvent;

/** Reads a subscription by hand: the next so many messages, fewer when it ends; a failure of it is thrown. */
export function taker<Subscription extends PersistentSubscriptionToAll | PersistentSubscriptionToStream>(
  subscription: Subscription,
): { readonly subscription: Subscription; take(count: number): Promise<Message[]> } {
  const messages = (subscription as AsyncIterable<Message>)[Symbol.asyncIterator]();
  return {
    subscription,
    take: async (count) => {
      const taken: Message[] = [];
      while (taken.length < count) {
        const next = await messages.next();
        if (next.done === true) break;
        taken.push(next.value);
      }
      return taken;
    },
  };
}

export const confirmed = (subscription: PersistentSubscriptionToAll | PersistentSubscriptionToStream) =>
  new Promise<void>((resolve) => {
    subscription.once('confirmation', () => {
      resolve();
    });
  });

export const numbersOf = (messages: readonly Message[]): unknown[] =>
  messages.map(({ event }) => (event?.data as { readonly n?: unknown } | undefined)?.n);

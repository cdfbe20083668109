import { RedisUnavailable, type RedisLink } from './redis-link';

/** Subscriptions sent at once when a connection is made anew. */
const RESUBSCRIBE_MAX = 500;

type Handler = (payload: Buffer) => void;

/**
 * What this node hears in Redis. A channel once subscribed to is heard until it is unsubscribed from, over every
 * reconnect, and also when Redis was down at the time.
 */
export class Channels {
  private readonly handlers = new Map<string, Handler>();
  private readonly endUp: () => void;

  constructor(private readonly link: RedisLink) {
    link.onHeard((channel, payload) => {
      this.handlers.get(channel)?.(payload);
    });
    this.endUp = link.onUp(() => {
      void this.subscribeAll();
    });
  }

  get size(): number {
    return this.handlers.size;
  }

  /** One handler a channel. @throws RedisUnavailable when it will be heard only once Redis is back */
  async subscribe(channel: string, handler: Handler): Promise<void> {
    this.handlers.set(channel, handler);
    if (!this.link.isUp) throw new RedisUnavailable('redis is down');
    try {
      await this.link.subscribe(channel);
    } catch (error) {
      throw new RedisUnavailable((error as Error).message, { cause: error });
    }
  }

  unsubscribe(channel: string): void {
    if (!this.handlers.delete(channel) || !this.link.isUp) return;
    this.link.unsubscribe(channel).catch(() => undefined);
  }

  /** Rejects with RedisUnavailable when nobody can be told. */
  async publish(channel: string, payload: Buffer): Promise<void> {
    await this.link.run((commands) =>
      this.link.words.publish === 'SPUBLISH'
        ? commands.spublish(channel, payload)
        : commands.publish(channel, payload),
    );
  }

  /** Resolves when everything published before has been heard. */
  async settled(): Promise<void> {
    await this.link.settled();
  }

  close(): void {
    this.endUp();
    this.handlers.clear();
  }

  /** One channel a command: of sharded channels each may be in a slot of its own. */
  private async subscribeAll(): Promise<void> {
    const channels = [...this.handlers.keys()];
    for (let begin = 0; begin < channels.length; begin += RESUBSCRIBE_MAX) {
      const some = channels.slice(begin, begin + RESUBSCRIBE_MAX).filter((name) => this.handlers.has(name));
      await Promise.allSettled(some.map((channel) => this.link.subscribe(channel)));
    }
  }
}

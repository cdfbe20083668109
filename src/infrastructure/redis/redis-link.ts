import { Redis } from 'ioredis';

/** Redis is down, silent, or has more to do than it can: what was asked did not happen, or nobody knows. */
export class RedisUnavailable extends Error {
  override readonly name = 'RedisUnavailable';
}

/** Commands under way at once; more are refused, for what waits behind a slow Redis is memory of ours. */
export const COMMANDS_MAX = 10_000;
/** A command that is not answered within this time has failed. */
export const COMMAND_TIMEOUT_MS = 1_000;
/** After a command timed out nobody else waits for a server that hangs: it is asked again after this time. */
const SILENCE_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;
/** Sharded pub/sub came with it. */
const SHARDED_PUBSUB_MAJOR = 7;

export interface LinkLog {
  warn(message: string): void;
}

/** What a script publishes with, and how the server spells subscriptions. */
export interface PubSubWords {
  readonly publish: 'SPUBLISH' | 'PUBLISH';
  readonly subscribe: 'ssubscribe' | 'subscribe';
  readonly unsubscribe: 'sunsubscribe' | 'unsubscribe';
}

const SHARDED: PubSubWords = {
  publish: 'SPUBLISH',
  subscribe: 'ssubscribe',
  unsubscribe: 'sunsubscribe',
};
const PLAIN: PubSubWords = { publish: 'PUBLISH', subscribe: 'subscribe', unsubscribe: 'unsubscribe' };

/** Doubles from the shortest to the longest; half of it is random, so that nodes do not come back at once. */
function retryMs(attempt: number): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(attempt, 10));
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/**
 * This process's two connections to Redis: one for commands, one for subscriptions. Both come back by themselves.
 * While they are away every command fails at once: there is no queue of things to do later, because nothing that
 * is in Redis is worth doing late.
 */
export class RedisLink {
  readonly commands: Redis;
  readonly subscriber: Redis;
  private readonly upListeners = new Set<() => void>();
  private underWay = 0;
  private silentUntil = 0;
  private knownWords: PubSubWords = SHARDED;
  private complained = false;
  /** Both connections are made and the server has said what it can. */
  private standing = false;
  private closed = false;

  constructor(
    url: string,
    private readonly log: LinkLog,
  ) {
    const options = {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // `Channels` knows what is to be heard, also what could not be subscribed to while Redis was away.
      autoResubscribe: false,
      commandTimeout: COMMAND_TIMEOUT_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      retryStrategy: retryMs,
    };
    this.commands = new Redis(url, { ...options, connectionName: 'parley' });
    this.subscriber = new Redis(url, { ...options, connectionName: 'parley-subscriber' });
    for (const client of [this.commands, this.subscriber]) {
      client.on('error', (error: Error) => {
        this.complain(error);
      });
      client.on('ready', () => {
        void this.cameUp();
      });
      client.on('close', () => {
        this.standing = false;
      });
    }
  }

  /** Begins to connect. Does not wait for Redis, which may come later. */
  start(): void {
    for (const client of [this.commands, this.subscriber]) client.connect().catch(() => undefined);
  }

  /** Both connections stand, and the last command was answered. */
  get isUp(): boolean {
    return this.standing && performance.now() >= this.silentUntil;
  }

  get words(): PubSubWords {
    return this.knownWords;
  }

  /** Called whenever both connections stand (again). @returns a function that ends it */
  onUp(listener: () => void): () => void {
    this.upListeners.add(listener);
    if (this.standing) listener();
    return () => {
      this.upListeners.delete(listener);
    };
  }

  /** @throws RedisUnavailable at once while Redis is down or COMMANDS_MAX are under way, else when `work` fails */
  async run<T>(work: (commands: Redis) => Promise<T>): Promise<T> {
    if (!this.isUp) throw new RedisUnavailable('redis is down');
    if (this.underWay >= COMMANDS_MAX) throw new RedisUnavailable('too many commands wait for redis');
    this.underWay++;
    try {
      return await work(this.commands);
    } catch (error) {
      const { message } = error as Error;
      if (message === 'Command timed out') this.silentUntil = performance.now() + SILENCE_MS;
      throw new RedisUnavailable(message, { cause: error });
    } finally {
      this.underWay--;
    }
  }

  /** A subscriber that hears nothing any more is connected anew. */
  reconnectSubscriber(): void {
    this.subscriber.disconnect(true);
  }

  close(): void {
    this.closed = true;
    this.standing = false;
    this.upListeners.clear();
    this.commands.disconnect();
    this.subscriber.disconnect();
  }

  private areReady(): boolean {
    return !this.closed && this.commands.status === 'ready' && this.subscriber.status === 'ready';
  }

  private async cameUp(): Promise<void> {
    if (!this.areReady()) return;
    this.silentUntil = 0;
    try {
      const info = await this.commands.info('server');
      const major = Number(/redis_version:(\d+)/.exec(info)?.[1] ?? SHARDED_PUBSUB_MAJOR);
      this.knownWords = major >= SHARDED_PUBSUB_MAJOR ? SHARDED : PLAIN;
    } catch {
      // It went away again, or does not let us ask: what was known holds.
    }
    if (!this.areReady() || this.standing) return;
    this.standing = true;
    if (this.complained) this.log.warn('redis is back');
    this.complained = false;
    for (const listener of [...this.upListeners]) listener();
  }

  /** Once for each time it goes away: ioredis tells every attempt. */
  private complain(error: Error): void {
    if (this.complained || this.closed) return;
    this.complained = true;
    this.log.warn(`redis is away: ${error.message}`);
  }
}

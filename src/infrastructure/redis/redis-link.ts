import { parseRedisUrl, type RedisAddress } from '../../config/redis-url';
import {
  SHARDED,
  type Commands,
  type Connections,
  type ConnectionsListener,
  type PubSubWords,
} from './connections';
import { OneServer } from './one-server';
import { ServerCluster } from './server-cluster';

/** Redis is down, silent, or has more to do than it can: what was asked did not happen, or nobody knows. */
export class RedisUnavailable extends Error {
  override readonly name = 'RedisUnavailable';
}

/** Commands under way at once; more are refused, for what waits behind a slow Redis is memory of ours. */
export const COMMANDS_MAX = 10_000;
/** After a command timed out nobody else waits for a server that hangs: it is asked again after this time. */
const SILENCE_MS = 1_000;

export interface LinkLog {
  warn(message: string): void;
}

const connectionsTo = (address: RedisAddress, listener: ConnectionsListener): Connections =>
  address.kind === 'cluster' ? new ServerCluster(address, listener) : new OneServer(address, listener);

/**
 * This process's way to Redis. It comes back by itself. While it is away every command fails at once: there is no
 * queue of things to do later, because nothing that is in Redis is worth doing late.
 */
export class RedisLink {
  private readonly connections: Connections;
  private readonly upListeners = new Set<() => void>();
  private underWay = 0;
  private silentUntil = 0;
  private knownWords: PubSubWords = SHARDED;
  private complained = false;
  private standing = false;
  private closed = false;
  private hear: (channel: string, payload: Buffer) => void = () => undefined;
  /** Whether there are several servers, whose subscriptions may be lost one by one. */
  readonly isCluster: boolean;

  constructor(
    url: string,
    private readonly log: LinkLog,
  ) {
    const address = parseRedisUrl(url);
    this.isCluster = address.kind === 'cluster';
    this.connections = connectionsTo(address, {
      up: (words) => {
        this.cameUp(words);
      },
      down: () => {
        this.standing = false;
      },
      failed: (error) => {
        this.complain(error);
      },
      heard: (channel, payload) => {
        this.hear(channel, payload);
      },
    });
  }

  /** Begins to connect. Does not wait for Redis, which may come later. */
  start(): void {
    this.connections.start();
  }

  /** All connections stand, and the last command was answered. */
  get isUp(): boolean {
    return this.standing && performance.now() >= this.silentUntil;
  }

  get words(): PubSubWords {
    return this.knownWords;
  }

  /** Called whenever all connections stand (again). @returns a function that ends it */
  onUp(listener: () => void): () => void {
    this.upListeners.add(listener);
    if (this.standing) listener();
    return () => {
      this.upListeners.delete(listener);
    };
  }

  /** Who hears what was subscribed to; there is one. */
  onHeard(listener: (channel: string, payload: Buffer) => void): void {
    this.hear = listener;
  }

  /** @throws RedisUnavailable at once while Redis is down or COMMANDS_MAX are under way, else when `work` fails */
  async run<T>(work: (commands: Commands) => Promise<T>): Promise<T> {
    if (!this.isUp) throw new RedisUnavailable('redis is down');
    if (this.underWay >= COMMANDS_MAX) throw new RedisUnavailable('too many commands wait for redis');
    this.underWay++;
    try {
      return await work(this.connections.commands);
    } catch (error) {
      const { message } = error as Error;
      if (message === 'Command timed out') this.silentUntil = performance.now() + SILENCE_MS;
      throw new RedisUnavailable(message, { cause: error });
    } finally {
      this.underWay--;
    }
  }

  subscribe(channel: string): Promise<void> {
    return this.connections.subscribe(channel, this.knownWords);
  }

  unsubscribe(channel: string): Promise<void> {
    return this.connections.unsubscribe(channel, this.knownWords);
  }

  /** Resolves when everything published before has been heard. */
  settled(): Promise<void> {
    return this.connections.settled();
  }

  /** Subscribers that hear nothing any more are connected anew. */
  reconnectSubscribers(): void {
    this.connections.reconnectSubscribers();
  }

  close(): void {
    this.closed = true;
    this.standing = false;
    this.upListeners.clear();
    this.connections.close();
  }

  private cameUp(words: PubSubWords): void {
    if (this.closed) return;
    this.silentUntil = 0;
    this.knownWords = words;
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

import { Redis } from 'ioredis';
import type { RedisAddress } from '../../config/redis-url';
import {
  CONNECTION_OPTIONS,
  listenTo,
  retryMs,
  SHARDED,
  wordsOf,
  type Connections,
  type ConnectionsListener,
  type PubSubWords,
} from './connections';

/** Two connections to one server. */
export class OneServer implements Connections {
  readonly commands: Redis;
  private readonly subscriber: Redis;
  private words = SHARDED;
  private isUp = false;
  private closed = false;

  constructor(
    { places, username, password, tls, database }: RedisAddress,
    private readonly listener: ConnectionsListener,
  ) {
    const [{ host, port }] = places;
    const options = {
      ...CONNECTION_OPTIONS,
      ...{ host, port, db: database, enableOfflineQueue: false, retryStrategy: retryMs },
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls ? { tls: {} } : {}),
    };
    this.commands = new Redis({ ...options, connectionName: 'parley' });
    this.subscriber = new Redis({ ...options, connectionName: 'parley-subscriber' });
    listenTo(this.subscriber, listener);
    for (const client of [this.commands, this.subscriber]) {
      client.on('error', (error: Error) => {
        listener.failed(error);
      });
      client.on('ready', () => {
        void this.cameUp();
      });
      client.on('close', () => {
        this.isUp = false;
        listener.down();
      });
    }
  }

  start(): void {
    for (const client of [this.commands, this.subscriber]) client.connect().catch(() => undefined);
  }

  async subscribe(channel: string, words: PubSubWords): Promise<void> {
    await this.subscriber[words.subscribe](channel);
  }

  async unsubscribe(channel: string, words: PubSubWords): Promise<void> {
    await this.subscriber[words.unsubscribe](channel);
  }

  async settled(): Promise<void> {
    await this.subscriber.ping();
  }

  reconnectSubscribers(): void {
    this.subscriber.disconnect(true);
  }

  close(): void {
    this.closed = true;
    this.commands.disconnect();
    this.subscriber.disconnect();
  }

  private areReady(): boolean {
    return !this.closed && this.commands.status === 'ready' && this.subscriber.status === 'ready';
  }

  private async cameUp(): Promise<void> {
    if (!this.areReady()) return;
    try {
      this.words = wordsOf(await this.commands.info('server'));
    } catch {
      // It went away again, or does not let us ask: what was known holds.
    }
    if (!this.areReady() || this.isUp) return;
    this.isUp = true;
    this.listener.up(this.words);
  }
}

import { Cluster, Command, Redis } from 'ioredis';
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

/** How often it is asked whether the cluster is whole, and who serves what. */
const WATCH_MS = 1_000;
/** MOVED and ASK in a row, as while slots are on their way from one server to another. */
const REDIRECTIONS_MAX = 4;

interface SlotRange {
  readonly first: number;
  readonly last: number;
  /** `host:port` of the master. */
  readonly master: string;
}

const slotOf = (channel: string): number => {
  const slot: unknown = new Command('ssubscribe', [channel]).getSlot();
  return Number(slot);
};

/**
 * A Redis Cluster: commands by ioredis, which follows the slots, and one subscriber for each master, because what is
 * published by SPUBLISH is heard on the server of its slot alone. It is up while all masters say that the cluster is
 * well and all subscribers stand; when a master dies or slots move, it is down until that holds again, and everything
 * is told and subscribed to anew.
 */
export class ServerCluster implements Connections {
  readonly commands: Cluster;
  private readonly subscribers = new Map<string, Redis>();
  private ranges: readonly SlotRange[] = [];
  private words = SHARDED;
  private isUp = false;
  private closed = false;
  private readonly timer: NodeJS.Timeout;
  private looking = false;

  constructor(
    private readonly address: RedisAddress,
    private readonly listener: ConnectionsListener,
  ) {
    const places = address.places.map(({ host, port }) => ({ host, port }));
    this.commands = new Cluster(places, {
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: (attempt) => this.retryMs(attempt),
      maxRedirections: REDIRECTIONS_MAX,
      // Nobody waits for a server that is away.
      ...{ retryDelayOnFailover: 0, retryDelayOnClusterDown: 0 },
      // We ask ourselves: the library's own interval goes on for ever when it is closed while an answer is out.
      slotsRefreshInterval: 0,
      redisOptions: { ...this.options, connectionName: 'parley' },
    });
    this.commands.on('error', (error: Error) => {
      listener.failed(error);
    });
    this.commands.on('node error', (error: Error) => {
      listener.failed(error);
      this.fell();
    });
    for (const event of ['close', 'end', '-node']) {
      this.commands.on(event, () => {
        this.fell();
      });
    }
    this.commands.on('ready', () => {
      void this.look();
    });
    this.timer = setInterval(() => {
      void this.look();
    }, WATCH_MS).unref();
  }

  start(): void {
    this.commands.connect().catch(() => undefined);
  }

  async subscribe(channel: string, words: PubSubWords): Promise<void> {
    await this.subscriberOf(channel, words)[words.subscribe](channel);
  }

  async unsubscribe(channel: string, words: PubSubWords): Promise<void> {
    await this.subscriberOf(channel, words)[words.unsubscribe](channel);
  }

  async settled(): Promise<void> {
    await Promise.all([...this.subscribers.values()].map((subscriber) => subscriber.ping()));
  }

  reconnectSubscribers(): void {
    for (const subscriber of this.subscribers.values()) subscriber.disconnect(true);
  }

  close(): void {
    this.closed = true;
    clearInterval(this.timer);
    this.commands.disconnect();
    for (const subscriber of this.subscribers.values()) subscriber.disconnect();
  }

  private get options() {
    const { username, password, tls } = this.address;
    return {
      ...CONNECTION_OPTIONS,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls ? { tls: {} } : {}),
    };
  }

  /** A connection that is being made while it is closed would otherwise be made again and again. */
  private retryMs(attempt: number): number | null {
    return this.closed ? null : retryMs(attempt);
  }

  private fell(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.listener.down();
  }

  /** Looks whether the cluster is whole. Never rejects. */
  private async look(): Promise<void> {
    if (this.looking || this.closed || this.commands.status !== 'ready') return;
    this.looking = true;
    this.commands.refreshSlotsCache();
    try {
      const moved = await this.learn();
      if (moved) this.fell();
      const isWhole = [...this.subscribers.values()].every(({ status }) => status === 'ready');
      if (!isWhole) this.fell();
      else if (!this.isUp && !this.isClosed()) {
        this.isUp = true;
        this.listener.up(this.words);
      }
    } catch {
      this.fell();
    } finally {
      this.looking = false;
    }
  }

  /** @returns whether anything is served by somebody else than before. @throws when a master is not well */
  private async learn(): Promise<boolean> {
    const masters = this.commands.nodes('master');
    if (masters.length === 0) throw new Error('no master of the Redis Cluster is known');
    const states = await Promise.all(masters.map((master) => master.cluster('INFO')));
    if (!states.every((state) => state.includes('cluster_state:ok'))) {
      throw new Error('the Redis Cluster is not well');
    }
    const ranges = rangesOf(await masters[0]?.cluster('SLOTS'));
    const words = wordsOf(String(await masters[0]?.info('server')));
    // Closed meanwhile: nobody would end what is opened now.
    if (this.isClosed()) return false;
    if (JSON.stringify(ranges) === JSON.stringify(this.ranges) && this.subscribers.size > 0) return false;
    this.words = words;
    this.ranges = ranges;
    await this.meet(new Set(ranges.map(({ master }) => master)));
    return true;
  }

  private async meet(masters: ReadonlySet<string>): Promise<void> {
    for (const [name, subscriber] of this.subscribers) {
      if (masters.has(name)) continue;
      subscriber.disconnect();
      this.subscribers.delete(name);
    }
    const newcomers = [...masters].filter((name) => !this.subscribers.has(name));
    await Promise.allSettled(newcomers.map((name) => this.subscriberAt(name).connect()));
  }

  private subscriberAt(name: string): Redis {
    const end = name.lastIndexOf(':');
    const subscriber = new Redis({
      ...this.options,
      ...{ host: name.slice(0, end), port: Number(name.slice(end + 1)), enableOfflineQueue: false },
      retryStrategy: (attempt) => this.retryMs(attempt),
      connectionName: 'parley-subscriber',
    });
    listenTo(subscriber, this.listener);
    subscriber.on('error', (error: Error) => {
      this.listener.failed(error);
    });
    subscriber.on('ready', () => {
      void this.look();
    });
    subscriber.on('close', () => {
      this.fell();
    });
    this.subscribers.set(name, subscriber);
    return subscriber;
  }

  /** Plain pub/sub is heard on all servers, whichever it was published on. @throws Error when nobody is there */
  private subscriberOf(channel: string, { publish }: PubSubWords): Redis {
    const slot = publish === 'SPUBLISH' ? slotOf(channel) : 0;
    const range = this.ranges.find(({ first, last }) => first <= slot && slot <= last);
    const subscriber = range && this.subscribers.get(range.master);
    if (subscriber === undefined) throw new Error(`nobody serves slot ${slot}`);
    return subscriber;
  }

  private isClosed(): boolean {
    return this.closed;
  }
}

/** @param answer of CLUSTER SLOTS: first and last slot, the master's address, its replicas */
function rangesOf(answer: unknown): SlotRange[] {
  const rows = answer as readonly [number, number, readonly [string, number]][];
  return rows
    .map(([first, last, [host, port]]) => ({ first, last, master: `${host}:${port}` }))
    .sort((a, b) => a.first - b.first);
}

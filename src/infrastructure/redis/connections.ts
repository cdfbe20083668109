import type { Cluster, Redis } from 'ioredis';

/** A command that is not answered within this time has failed. */
export const COMMAND_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;
/** Sharded pub/sub came with it. */
const SHARDED_PUBSUB_MAJOR = 7;

export type Commands = Redis | Cluster;

/** What a script publishes with, and how the server spells subscriptions. */
export interface PubSubWords {
  readonly publish: 'SPUBLISH' | 'PUBLISH';
  readonly subscribe: 'ssubscribe' | 'subscribe';
  readonly unsubscribe: 'sunsubscribe' | 'unsubscribe';
}

export const SHARDED: PubSubWords = {
  publish: 'SPUBLISH',
  subscribe: 'ssubscribe',
  unsubscribe: 'sunsubscribe',
};
const PLAIN: PubSubWords = { publish: 'PUBLISH', subscribe: 'subscribe', unsubscribe: 'unsubscribe' };

/** @param info of the section `server` */
export function wordsOf(info: string): PubSubWords {
  const major = Number(/redis_version:(\d+)/.exec(info)?.[1] ?? SHARDED_PUBSUB_MAJOR);
  return major >= SHARDED_PUBSUB_MAJOR ? SHARDED : PLAIN;
}

/** Who is told how the connections are. */
export interface ConnectionsListener {
  /** All of them stand (again); what was subscribed to before is not any more. */
  up(words: PubSubWords): void;
  /** One of them does not. */
  down(): void;
  failed(error: Error): void;
  heard(channel: string, payload: Buffer): void;
}

/**
 * The connections of this process to Redis, be it one server or a cluster: for commands, and for subscriptions.
 * They come back by themselves. While any of them is away all of Redis is: a part of presence is none.
 */
export interface Connections {
  readonly commands: Commands;
  /** Begins to connect. Does not wait. */
  start(): void;
  subscribe(channel: string, words: PubSubWords): Promise<void>;
  unsubscribe(channel: string, words: PubSubWords): Promise<void>;
  /** Resolves when everything published before has been heard. */
  settled(): Promise<void>;
  /** Subscribers that hear nothing any more are connected anew. */
  reconnectSubscribers(): void;
  close(): void;
}

/** Doubles from the shortest to the longest; half of it is random, so that nodes do not come back at once. */
export function retryMs(attempt: number): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(attempt, 10));
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/** Of every connection: nothing waits for a server that is away, because nothing in Redis is worth doing late. */
export const CONNECTION_OPTIONS = {
  lazyConnect: true,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // `Channels` knows what is to be heard, also what could not be subscribed to while Redis was away.
  autoResubscribe: false,
  commandTimeout: COMMAND_TIMEOUT_MS,
  connectTimeout: CONNECT_TIMEOUT_MS,
} as const;

/** Tells what a subscriber hears. */
export function listenTo(subscriber: Redis, { heard }: Pick<ConnectionsListener, 'heard'>): void {
  for (const event of ['smessageBuffer', 'messageBuffer']) {
    subscriber.on(event, (channel: Buffer, payload: Buffer) => {
      heard(channel.toString(), payload);
    });
  }
}

import { createHash } from 'node:crypto';
import type { UserId } from '../../kernel/ids';

/**
 * Every key and channel that Parley has in Redis (docs/redis.md). What one script touches shares a hash tag, so that
 * Redis Cluster keeps it in one slot. No key without an end.
 */
const PREFIX = 'parley';
/** Presence is spread over so many slots; each has one list of what is due, which every node looks through. */
export const PRESENCE_PARTITIONS = 16;
/** The last time somebody was seen is kept for so long after they left. */
export const LAST_SEEN_KEPT_MS = 7 * 86_400_000;

/** FNV-1a, 32 bits: the same number on every node and version, for ever. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < text.length; n++) hash = Math.imul(hash ^ text.charCodeAt(n), 0x01000193);
  return hash >>> 0;
}

const partitionOf = (userId: UserId): number => fnv1a(userId) % PRESENCE_PARTITIONS;
const presenceTag = (partition: number): string => `${PREFIX}:{p:${partition}}`;

/** A hash: the user's sessions, what was last told of them, and when they were last seen. */
export const presenceKey = (userId: UserId): string => `${presenceTag(partitionOf(userId))}:who:${userId}`;
/** A sorted set: users by the time at which the first of their sessions expires. */
export const presenceDueKey = (partition: number): string => `${presenceTag(partition)}:due`;
export const presenceDueKeyOf = (userId: UserId): string => presenceDueKey(partitionOf(userId));
/** A channel: changes of one user's presence. */
export const presenceChannel = (userId: UserId): string =>
  `${presenceTag(partitionOf(userId))}:changes:${userId}`;

/** A hash: the user's sockets, on whichever node. */
export const socketsKey = (userId: UserId): string => `${PREFIX}:{u:${userId}}:sockets`;

/** A string: when the bucket is full again. The key is hashed: it may hold names and addresses of people. */
export const rateKey = (rule: string, key: string): string =>
  `${PREFIX}:{r:${rule}:${createHash('sha256').update(key).digest('base64url').slice(0, 22)}}`;

/** A channel: what one node is told by others. */
export const nodeChannel = (node: string): string => `${PREFIX}:{n:${node}}:mail`;
/** Channels: what a node writes to itself, to know that it still hears; one in each slot it listens to for others. */
export const beaconChannels = (node: string, isCluster: boolean): readonly string[] => [
  `${PREFIX}:{n:${node}}:beacon`,
  // Changes of presence come from the servers of the partitions, each over a connection of its own.
  ...(isCluster
    ? Array.from({ length: PRESENCE_PARTITIONS }, (_, n) => `${presenceTag(n)}:beacon:${node}`)
    : []),
];
/** A channel: what all nodes are told. */
export const everyNodeChannel = `${PREFIX}:{n:all}:mail`;

/** A channel: what relays tell one node. */
export const nodeRelayChannel = (node: string): string => `${PREFIX}:{n:${node}}:relay`;
/** A channel: relays that have something to tell. */
export const everyNodeRelayChannel = `${PREFIX}:{n:all}:relay`;
/** A channel: what nodes tell the relay of one shard. */
export const shardRelayChannel = (shard: number): string => `${PREFIX}:{s:${shard}}:relay`;

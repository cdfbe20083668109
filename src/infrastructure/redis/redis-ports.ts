import { randomUUID } from 'node:crypto';
import { Beacon } from './beacon';
import { Channels } from './channels';
import { NodeMail } from './node-mail';
import { RedisEphemeralBus } from './redis-ephemeral-bus';
import { RedisLink, type LinkLog } from './redis-link';
import { RedisNodeNotices } from './redis-node-notices';
import { RedisPresenceStore } from './redis-presence-store';
import { RedisRateLimits } from './redis-rate-limits';
import { RedisRelayBus } from './redis-relay-bus';
import { RedisSocketDirectory } from './redis-socket-directory';

export interface RedisPorts {
  readonly link: RedisLink;
  readonly channels: Channels;
  readonly presence: RedisPresenceStore;
  readonly bus: RedisEphemeralBus;
  readonly directory: RedisSocketDirectory;
  readonly notices: RedisNodeNotices;
  readonly rates: RedisRateLimits;
  readonly relay: RedisRelayBus;
  close(): void;
}

export interface RedisPortsOptions {
  readonly url: string;
  readonly socketsPerUserMax: number;
  readonly log: LinkLog;
  /** Moves the clocks, in tests. */
  readonly shiftMs?: () => number;
}

/** Everything of a node that is in Redis, over its own connections. Does not wait for Redis. */
export function openRedis({ url, socketsPerUserMax, log, shiftMs = () => 0 }: RedisPortsOptions): RedisPorts {
  const link = new RedisLink(url, log);
  const channels = new Channels(link);
  const mail = new NodeMail(randomUUID(), channels, log);
  const beacon = new Beacon(channels, {
    node: mail.node,
    isCluster: link.isCluster,
    deaf: () => {
      link.reconnectSubscribers();
    },
    log,
  });
  const directory = new RedisSocketDirectory(link, mail, { socketsPerUserMax, shiftMs });
  const presence = new RedisPresenceStore(link, channels, { shiftMs });
  const rates = new RedisRateLimits(link, { shiftMs, now: () => performance.now() + shiftMs() });
  link.start();
  return {
    link,
    channels,
    presence,
    bus: new RedisEphemeralBus(mail, directory),
    directory,
    notices: new RedisNodeNotices(mail),
    rates,
    relay: new RedisRelayBus(mail.node, channels),
    close: () => {
      presence.close();
      directory.close();
      mail.close();
      beacon.close();
      channels.close();
      link.close();
    },
  };
}

import { Logger } from '@nestjs/common';
import { ephemeralBusContract, presenceContract } from '../../contracts/presence.contract';
import { rateLimitsContract } from '../../contracts/rate-limits.contract';
import { relayBusContract } from '../../contracts/relay-bus.contract';
import { SOCKETS_MAX, socketDirectoryContract } from '../../contracts/socket-directory.contract';
import { redisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServer, RedisServerCluster } from '../../support/redis-server';

Logger.overrideLogger(false);

interface StartedRedis {
  readonly url: string;
  stop(): Promise<void>;
}

/** The server, or cluster, of whoever runs the suite; nothing of theirs is flushed or stopped. */
const THEIRS = process.env['REDIS_URL'] ?? '';
const SERVERS: readonly (readonly [string, () => Promise<StartedRedis>])[] = [
  ['alone', () => RedisServer.start()],
  ['three masters', () => RedisServerCluster.start()],
  ...(THEIRS === ''
    ? []
    : [['REDIS_URL', () => Promise.resolve({ url: THEIRS, stop: () => Promise.resolve() })] as const]),
];

describe.each(SERVERS)('redis, %s', (mode, start) => {
  describeWithRedis(`contracts over redis (${mode})`, () => {
    let server: StartedRedis;
    beforeAll(async () => {
      server = await start();
    });
    afterAll(async () => {
      await server.stop();
    });
    const open = async () => {
      const node = await redisNode(server.url, SOCKETS_MAX);
      return {
        node,
        store: node.presence,
        bus: node.bus,
        rates: node.rates,
        directory: node.directory,
        settled: () => node.settled(),
        advance: (ms: number): Promise<void> => {
          node.shift += ms;
          return node.presence.sweep();
        },
        close: (): Promise<void> => {
          node.close();
          return Promise.resolve();
        },
      };
    };
    const atOnce = async () => {
      const opened = await open();
      return { ...opened, advance: (ms: number): void => void (opened.node.shift += ms) };
    };

    presenceContract(`redis, ${mode}`, open);
    ephemeralBusContract(`redis, ${mode}`, open);
    rateLimitsContract(`redis, ${mode}`, atOnce);
    socketDirectoryContract(`redis, ${mode}`, atOnce);
    relayBusContract(`redis, ${mode}`, async () => {
      const [relay, one, two] = await Promise.all([1, 2, 3].map(() => redisNode(server.url, SOCKETS_MAX)));
      if (relay === undefined || one === undefined || two === undefined) throw new Error('three were opened');
      return {
        relay: relay.relay,
        nodes: [one.relay, two.relay],
        settled: async () => {
          for (const { channels } of [relay, one, two]) await channels.settled();
        },
        close: () => {
          for (const node of [relay, one, two]) node.close();
          return Promise.resolve();
        },
      };
    });
  });
});

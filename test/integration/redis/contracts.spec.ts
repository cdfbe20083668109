import { Logger } from '@nestjs/common';
import { ephemeralBusContract, presenceContract } from '../../contracts/presence.contract';
import { rateLimitsContract } from '../../contracts/rate-limits.contract';
import { SOCKETS_MAX, socketDirectoryContract } from '../../contracts/socket-directory.contract';
import { redisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServer, RedisServerCluster } from '../../support/redis-server';

Logger.overrideLogger(false);

describe.each(['alone', 'three masters'] as const)('redis, %s', (mode) => {
  describeWithRedis(`contracts over redis (${mode})`, () => {
    let server: RedisServer | RedisServerCluster;
    beforeAll(async () => {
      server = mode === 'alone' ? await RedisServer.start() : await RedisServerCluster.start();
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
  });
});

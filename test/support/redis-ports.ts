import { setTimeout as sleep } from 'node:timers/promises';
import { openRedis, type RedisPorts } from '../../src/infrastructure/redis/redis-ports';
import { eventually } from './sdk-device';

/** What one node has in Redis, under a clock that the test may move forward. */
export interface TestRedisNode extends RedisPorts {
  shift: number;
  /** Resolves when all that other nodes said before has been heard here. */
  settled(): Promise<void>;
}

export async function redisNode(url: string, socketsPerUserMax = 20): Promise<TestRedisNode> {
  const time = { shift: 0 };
  const warnings: string[] = [];
  const ports = openRedis({
    url,
    socketsPerUserMax,
    log: { warn: (message) => warnings.push(message) },
    shiftMs: () => time.shift,
  });
  await eventually('a connection to redis', () => ports.link.isUp);
  await ports.channels.settled();
  return Object.assign(time, ports, {
    settled: async () => {
      await ports.rates.flush();
      await ports.channels.settled();
      // What was heard may have been answered in a turn of its own.
      await sleep(0);
      await ports.channels.settled();
    },
  });
}

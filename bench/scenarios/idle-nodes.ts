import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FromCrowd, ToCrowd } from '../load/idle-crowd';
import { usageOf } from '../load/processes';
import { startRedis } from '../load/redis';
import { freePort, type Server } from '../load/server';
import type { Metrics, Surroundings } from '../scenario';

const NODES = 6;
const NODES_QUICK = 2;
const SOCKETS = 100_000;
const SOCKETS_QUICK = 1_000;
const REST_MS = 20_000;
const REST_MS_QUICK = 3_000;
const SETTLE_MS = 5_000;

async function ask(crowd: ChildProcess, message: ToCrowd): Promise<number> {
  const answered = once(crowd, 'message');
  crowd.send(message);
  const [{ sockets }] = (await answered) as [FromCrowd];
  return sockets;
}

/** How the others reach the stores of the first node. */
async function storesOf(first: Server, grpcPort: number, redisUrl: string): Promise<Record<string, string>> {
  const read = async (name: string): Promise<string> =>
    (await readFile(join(first.dataDir, 'postgres', name), 'utf8')).trim();
  return {
    JWT_SECRET: first.secret,
    EVENTSTORE_URL: `esdb://127.0.0.1:${grpcPort}?tls=false`,
    DATABASE_URL: `postgres://parley:${await read('password')}@127.0.0.1:${await read('port')}/parley`,
    REDIS_URL: redisUrl,
    ROLES: 'gateway',
  };
}

/** Idle sockets over several gateways that share one log, one Postgres and one Redis. */
export async function idleNodes({ quick, startServer, option }: Surroundings): Promise<Metrics> {
  const sockets = Number(option('sockets') ?? (quick ? SOCKETS_QUICK : SOCKETS));
  const count = quick ? NODES_QUICK : NODES;
  const redis = await startRedis();
  const crowds: ChildProcess[] = [];
  try {
    const grpcPort = await freePort();
    const first = await startServer({
      environment: { EVENTSTORE_GRPC_PORT: String(grpcPort), REDIS_URL: redis.url },
    });
    const environment = await storesOf(first, grpcPort, redis.url);
    const servers = [first];
    while (servers.length < count) servers.push(await startServer({ environment }));
    const people = await first.people(sockets);
    await sleep(SETTLE_MS);
    const memory = (): number => servers.reduce((sum, { pid }) => sum + usageOf(pid).nodeBytes, 0);
    const before = memory();
    const startedAt = performance.now();
    const each = Math.ceil(sockets / count);
    await Promise.all(
      servers.map(async ({ port }, n) => {
        const crowd = fork(join(__dirname, '..', 'load', 'idle-crowd.js'));
        crowds.push(crowd);
        await ask(crowd, { kind: 'open', port, people: people.slice(n * each, (n + 1) * each) });
      }),
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    await sleep(quick ? REST_MS_QUICK : REST_MS);
    const rested = memory();
    const open = await Promise.all(crowds.map((crowd) => ask(crowd, { kind: 'count' })));
    return {
      processes: count,
      sockets,
      'still open': open.reduce((sum, one) => sum + one, 0),
      'sockets opened/s': sockets / seconds,
      'node RSS MB before, all': before / 1e6,
      'node RSS MB, all': rested / 1e6,
      'KB/socket at rest': (rested - before) / 1e3 / sockets,
    };
  } finally {
    for (const crowd of crowds) crowd.disconnect();
    await redis.stop();
  }
}

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './server-process';

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

const isInstalled = spawnSync('redis-server', ['--version']).error === undefined;

/**
 * A suite that needs a redis-server on the PATH. Without one it is red in CI, and named loudly elsewhere: a run
 * without a server must not look like one with it.
 */
export function describeWithRedis(name: string, suite: () => void): void {
  if (isInstalled) {
    describe(name, suite);
    return;
  }
  process.stderr.write(`\nNOT RUN: ${name}; there is no redis-server on the PATH.\n`);
  const required = (process.env['CI'] ?? '') !== '' ? describe : describe.skip;
  required(name, () => {
    it('needs a redis-server on the PATH', () => {
      throw new Error('CI runs every suite: install redis-server');
    });
  });
}

/** A redis-server of the test's own, on a free port of the loopback, with nothing on disk. */
export class RedisServer {
  private child: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly isCluster: boolean,
  ) {}

  /** @param mode `cluster`: a Redis Cluster of one node, which refuses what lies in two slots */
  static async start(mode: 'alone' | 'cluster' = 'alone'): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'parley-redis-'));
    const server = new RedisServer(await freePort(), folder, mode === 'cluster');
    await server.run();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it (again), empty. */
  async run(): Promise<void> {
    const settings = ['--port', this.port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const cluster = this.isCluster ? ['--cluster-enabled', 'yes', '--cluster-port', await freePort()] : [];
    const args = [...settings, '--dir', this.folder, ...cluster].map(String);
    this.child = spawn('redis-server', args, { stdio: 'ignore' });
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await this.answers())) {
      if (Date.now() > deadline) throw new Error(`redis-server is not ready on ${this.port}`);
      await sleep(POLL_MS);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Runs one command on a connection of its own. */
  async command(name: string, ...args: (string | number)[]): Promise<unknown> {
    const redis = new Redis(this.url, { lazyConnect: true, retryStrategy: () => null });
    redis.on('error', () => undefined);
    try {
      await redis.connect();
      return await redis.call(name, ...args);
    } finally {
      redis.disconnect();
    }
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async answers(): Promise<boolean> {
    try {
      if (!this.isCluster) return (await this.command('PING')) === 'PONG';
      const info = String(await this.command('CLUSTER', 'INFO'));
      if (info.includes('cluster_slots_assigned:0'))
        await this.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
      return info.includes('cluster_state:ok');
    } catch {
      return false;
    }
  }
}

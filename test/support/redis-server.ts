import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './server-process';

const START_TIMEOUT_MS = 30_000;
const START_ATTEMPTS_MAX = 10;
const POLL_MS = 20;

/** It did not stay: as a rule, because somebody else has its port. */
class ServerEnded extends Error {
  override readonly name = 'ServerEnded';
}

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
  private wasReady = false;
  /** Where members of a cluster find each other; kept over restarts, as they remember it. */
  busPort: number | undefined;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly mode: 'alone' | 'cluster' | 'member',
  ) {}

  /** @param mode `cluster`: a Redis Cluster of one node, which refuses what lies in two slots; `member`: of several */
  static async start(mode: 'alone' | 'cluster' | 'member' = 'alone'): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'parley-redis-'));
    for (let attempt = 1; ; attempt++) {
      const server = new RedisServer(await freePort(), folder, mode);
      try {
        await server.run();
        return server;
      } catch (error) {
        // A port that was free may have found another user meanwhile.
        if (!(error instanceof ServerEnded) || attempt >= START_ATTEMPTS_MAX) throw error;
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it (again), empty. */
  async run(): Promise<void> {
    const settings = ['--port', this.port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    this.busPort ??= this.mode === 'alone' ? 0 : await freePort();
    const cluster =
      this.mode === 'alone'
        ? []
        : ['--cluster-enabled', 'yes', '--cluster-port', this.busPort, '--cluster-node-timeout', 2_000];
    const args = [...settings, '--dir', this.folder, ...cluster].map(String);
    this.child = spawn('redis-server', args, { stdio: 'ignore' });
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await this.answers())) {
      if (!this.isRunning) {
        if (!this.wasReady) throw new ServerEnded(`redis-server ended at once on ${this.port}`);
        // It must come back where the others know it: whoever has the port now will not have it for long.
        this.child = spawn('redis-server', args, { stdio: 'ignore' });
      }
      if (Date.now() > deadline) throw new Error(`redis-server is not ready on ${this.port}`);
      await sleep(POLL_MS);
    }
    this.wasReady = true;
  }

  get isRunning(): boolean {
    return this.child?.exitCode === null && this.child.signalCode === null;
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
      // Ours, and not one of somebody else who was quicker to take the port.
      const server = String(await this.command('INFO', 'server'));
      if (!server.includes(`process_id:${this.child?.pid}\r`)) return false;
      if (this.mode !== 'cluster') return true;
      const info = String(await this.command('CLUSTER', 'INFO'));
      if (info.includes('cluster_slots_assigned:0'))
        await this.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
      return info.includes('cluster_state:ok');
    } catch {
      return false;
    }
  }
}

const SLOTS = 16_384;
const MEMBERS = 3;

/** A Redis Cluster of three masters, each with a third of the slots. */
export class RedisServerCluster {
  private constructor(readonly servers: readonly RedisServer[]) {}

  static async start(): Promise<RedisServerCluster> {
    const started = await Promise.allSettled(
      Array.from({ length: MEMBERS }, () => RedisServer.start('member')),
    );
    const servers = started.filter((one) => one.status === 'fulfilled').map(({ value }) => value);
    const failed = started.find((one) => one.status === 'rejected');
    if (failed !== undefined) {
      // Left to themselves they would outlive the run, and keep it from ending.
      await Promise.all(servers.map((server) => server.stop()));
      throw failed.reason;
    }
    const [first] = servers as [RedisServer];
    for (const [n, server] of servers.entries()) {
      const from = Math.floor((n * SLOTS) / MEMBERS);
      await server.command('CLUSTER', 'ADDSLOTSRANGE', from, Math.floor(((n + 1) * SLOTS) / MEMBERS) - 1);
      if (server !== first) {
        await first.command('CLUSTER', 'MEET', '127.0.0.1', server.port, server.busPort ?? 0);
      }
    }
    const cluster = new RedisServerCluster(servers);
    await cluster.whole();
    return cluster;
  }

  get url(): string {
    return this.servers.map(({ url }) => url).join(',');
  }

  get isRunning(): boolean {
    return this.servers.every(({ isRunning }) => isRunning);
  }

  /** Starts those that were killed, again, and empty; resolves when all know all. */
  async run(): Promise<void> {
    await Promise.all(this.servers.filter(({ isRunning }) => !isRunning).map((server) => server.run()));
    await this.whole();
  }

  signal(signal: NodeJS.Signals): void {
    for (const server of this.servers) server.signal(signal);
  }

  async kill(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()));
  }

  /** On all of them, as FLUSHALL wants it, or where it leads to: SPUBLISH. @returns the first good answer */
  async command(name: string, ...args: (string | number)[]): Promise<unknown> {
    const answers = await Promise.allSettled(this.servers.map((server) => server.command(name, ...args)));
    const good = answers.find(({ status }) => status === 'fulfilled');
    if (good?.status === 'fulfilled') return good.value;
    throw (answers[0] as PromiseRejectedResult).reason;
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  private async whole(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    const isWhole = async (server: RedisServer): Promise<boolean> => {
      const info = String(await server.command('CLUSTER', 'INFO').catch(() => ''));
      return info.includes('cluster_state:ok') && info.includes(`cluster_size:${MEMBERS}`);
    };
    while (!(await Promise.all(this.servers.map(isWhole))).every(Boolean)) {
      if (Date.now() > deadline) throw new Error('the Redis Cluster does not come together');
      await sleep(POLL_MS);
    }
  }
}

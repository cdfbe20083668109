import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { makePeople, newUserIds, type Person } from './people';
import type { Target } from './target';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 40_000;
const POLL_MS = 25;
const PROJECTED_TIMEOUT_MS = 280_000;

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Which build of the server is measured. */
export interface Build {
  /** As the report calls it. */
  readonly name: string;
  /** The compiled `main.js`. */
  readonly script: string;
  /** For Node, as in `npm start`. */
  readonly flags: readonly string[];
}

/** What a server finds when it starts, and what is set beyond a benchmark's own settings. */
export interface ServerSetup {
  /** Makes its past: is given the data folder before the first start. */
  readonly prepare?: (dataDir: string) => Promise<void>;
  readonly environment?: Readonly<Record<string, string>>;
}

export const THIS_BUILD: Build = {
  name: 'parley',
  script: resolve(__dirname, '../../src/main.js'),
  flags: ['--enable-source-maps', '--max-semi-space-size=32', '--v8-pool-size=0'],
};

/**
 * A Parley node as `npm start` runs it, all roles and stores, on a data folder of its own, which goes with it.
 * Only the rate limits are off.
 */
export class Server implements Target {
  private child: ChildProcess;

  private constructor(
    readonly port: number,
    readonly secret: string,
    readonly dataDir: string,
    private readonly spawnChild: () => ChildProcess,
  ) {
    this.child = spawnChild();
  }

  /** @param profileDir where a CPU profile is left when the server stops */
  static async start(build: Build, profileDir?: string, setup: ServerSetup = {}): Promise<Server> {
    const dataDir = await mkdtemp(join(tmpdir(), 'parley-bench-'));
    await setup.prepare?.(dataDir);
    const port = await freePort();
    const secret = randomBytes(32).toString('hex');
    const profiling = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
    const spawnChild = (): ChildProcess =>
      spawn(process.execPath, [...build.flags, ...profiling, build.script], {
        env: {
          PATH: process.env['PATH'] ?? '',
          DATA_DIR: dataDir,
          PORT: String(port),
          HOST: '127.0.0.1',
          RATE_LIMITS: 'off',
          LOG_LEVEL: 'error',
          JWT_SECRET: secret,
          HEARTBEAT_MS: '25000',
          ...setup.environment,
        },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    const server = new Server(port, secret, dataDir, spawnChild);
    await server.ready();
    return server;
  }

  /** Ends the process, which drains, and starts it again on the same data. */
  async restart(): Promise<void> {
    await this.halt();
    this.child = this.spawnChild();
    await this.ready();
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the server was not started');
    return this.child.pid;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A connection to its PostgreSQL; the caller ends it. */
  async database(): Promise<Client> {
    const read = async (name: string): Promise<string> =>
      (await readFile(join(this.dataDir, 'postgres', name), 'utf8')).trim();
    const [port, password] = [Number(await read('port')), await read('password')];
    const client = new Client({ host: '127.0.0.1', port, user: 'parley', password, database: 'parley' });
    await client.connect();
    return client;
  }

  async people(count: number): Promise<readonly Person[]> {
    return this.accounts(newUserIds(count));
  }

  /** Accounts for people who are in the past already. */
  async accounts(userIds: readonly string[]): Promise<readonly Person[]> {
    const database = await this.database();
    try {
      return await makePeople(database, this.secret, userIds);
    } finally {
      await database.end();
    }
  }

  /** Waits until the read models have everything that is in the log up to `position`. */
  async projected(position: bigint): Promise<void> {
    const database = await this.database();
    try {
      for (const deadline = Date.now() + PROJECTED_TIMEOUT_MS; ;) {
        const { rows } = await database.query<{ reached: string | null }>(
          "SELECT min(commit_position) AS reached FROM read.checkpoints WHERE projection NOT LIKE '%rebuild'",
        );
        if (BigInt(rows[0]?.reached ?? -1) >= position) return;
        if (Date.now() > deadline) throw new Error('the read models do not get there');
        await new Promise((done) => setTimeout(done, POLL_MS));
      }
    } finally {
      await database.end();
    }
  }

  /** Ends the process and leaves its data. */
  async halt(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  }

  async stop(): Promise<void> {
    await this.halt();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private async ready(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await this.answers())) {
      if (this.child.exitCode !== null) throw new Error(`the server ended with ${this.child.exitCode}`);
      if (Date.now() > deadline) {
        await this.stop();
        throw new Error(`the server was not ready within ${START_TIMEOUT_MS / 1_000} s`);
      }
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  }

  private async answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/health/ready`)).ok;
    } catch {
      return false;
    }
  }
}

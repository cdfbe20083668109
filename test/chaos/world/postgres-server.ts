import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import {
  DATABASE,
  HOST,
  keptPort,
  logLines,
  prepareCluster,
  spawnPostmaster,
  SUPERUSER,
  type Cluster,
} from '../../../embedded/postgres/cluster';
import { endOrphan } from '../../../embedded/postgres/orphan';

const START_TIMEOUT_MS = 90_000;
const silent = (): void => undefined;

/** A real Postgres that nobody brings back: whoever kills it decides when it returns. */
export class PostgresServer {
  private postmaster: ChildProcess | undefined;

  private constructor(
    private readonly cluster: Cluster,
    readonly port: number,
  ) {}

  /** Makes the cluster and starts it. */
  static async open(dataDir: string): Promise<PostgresServer> {
    const cluster = await prepareCluster(dataDir, true, silent);
    const server = new PostgresServer(cluster, await keptPort(cluster));
    await server.start();
    await server.query('postgres', `CREATE DATABASE ${DATABASE}`);
    return server;
  }

  /** @param port of a proxy before it, or its own */
  urlAt(port: number): string {
    return `postgres://${SUPERUSER}:${this.cluster.password}@${HOST}:${port}/${DATABASE}`;
  }

  async start(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      await endOrphan(this.cluster.folder, silent);
      const postmaster = spawnPostmaster(this.cluster, this.port);
      logLines(postmaster, silent);
      this.postmaster = postmaster;
      // Sessions that outlive a killed postmaster for a moment keep the next one from starting.
      while (this.isRunning) {
        if (await this.answers()) return;
        if (Date.now() > deadline) throw new Error('Postgres does not start');
        await sleep(25);
      }
      if (Date.now() > deadline) throw new Error('Postgres does not start');
      await sleep(100);
    }
  }

  /** Kill -9 of the postmaster: its sessions end with it. */
  async kill(): Promise<void> {
    this.postmaster?.kill('SIGKILL');
    while (this.isRunning) await sleep(10);
  }

  /** To the postmaster and all its sessions: a machine that stands still, or goes on. */
  async signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const pid = this.postmaster?.pid;
    if (pid === undefined || !this.isRunning) return;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    for (const one of [pid, ...children.split(' ').filter(Boolean).map(Number)]) {
      try {
        process.kill(one, signal);
      } catch {
        // A session that has just ended.
      }
    }
  }

  async close(): Promise<void> {
    await this.signal('SIGCONT');
    if (this.isRunning) this.postmaster?.kill('SIGQUIT');
    while (this.isRunning) await sleep(10);
    await endOrphan(this.cluster.folder, silent);
  }

  get isRunning(): boolean {
    return this.postmaster?.exitCode === null && this.postmaster.signalCode === null;
  }

  private async answers(): Promise<boolean> {
    try {
      await this.query('postgres', 'SELECT 1');
      return true;
    } catch {
      return false;
    }
  }

  private async query(database: string, sql: string): Promise<void> {
    const url = new URL(this.urlAt(this.port));
    url.pathname = `/${database}`;
    const client = new Client({ connectionString: url.toString(), connectionTimeoutMillis: 2_000 });
    client.on('error', silent);
    await client.connect();
    await client.query(sql).finally(() => client.end());
  }
}

import type { ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
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
} from './postgres/cluster';
import { endOrphan } from './postgres/orphan';

/** Recovery after a crash reads the whole write-ahead log since the last checkpoint. */
const START_TIMEOUT_MS = 60_000;
const START_ATTEMPTS_MAX = 5;
const CONNECT_POLL_MS = 25;
const CONNECT_TIMEOUT_MS = 2_000;
const STOP_FAST_MS = 20_000;
const STOP_IMMEDIATE_MS = 5_000;
const RESTART_BACKOFF_MIN_MS = 100;
const RESTART_BACKOFF_MAX_MS = 5_000;
/** A server that ran this long was well: the next crash starts again with the shortest pause. */
const HEALTHY_AFTER_MS = 30_000;

/** Not ERROR: the client of a failed statement is told, and the text may hold what people wrote. */
const WORTH_LOGGING = / (WARNING|FATAL|PANIC): /;
/** What our own knocking causes. */
const STARTING_UP = /the database system is (starting up|not yet accepting connections)/;

interface EmbeddedPostgresOptions {
  /** Folder for this server alone: cluster, password, port. The caller holds the instance lock over it. */
  readonly dataDir: string;
  /** Gets one line at a time: our own doings, and what Postgres warns of. */
  readonly log: (message: string) => void;
  /** Default true. false: a power cut may lose or break everything; for tests. */
  readonly durable?: boolean;
}

export interface EmbeddedPostgres {
  /** Of a database of UTF-8, on loopback, with its password. The same as long as the data folder lives. */
  readonly url: string;
  /** Ends sessions, writes a checkpoint, and waits for the end of the server. Once is enough, twice is harmless. */
  stop(): Promise<void>;
}

/**
 * Runs a real Postgres below `dataDir` and keeps it running until `stop()`: a server that crashes is started
 * again on the same port. The first start makes the cluster.
 *
 * @throws Error when there are no binaries for this platform, the folder belongs to somebody else, or the
 *   server does not answer within 60 s
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const cluster = await prepareCluster(resolve(options.dataDir), options.durable ?? true, options.log);
  // Before the port is looked at: the orphan holds the one that was kept.
  await endOrphan(cluster.folder, options.log);
  const server = new SupervisedServer(cluster, await keptPort(cluster), options.log);
  await server.start();
  return server;
}

class SupervisedServer implements EmbeddedPostgres {
  readonly url: string;
  private postmaster: ChildProcess | undefined;
  private ended: Promise<string> = Promise.resolve('');
  private readonly stopping = new AbortController();
  private supervision: Promise<void> = Promise.resolve();

  constructor(
    private readonly cluster: Cluster,
    private readonly port: number,
    private readonly log: (message: string) => void,
  ) {
    this.url = this.urlOf(DATABASE);
  }

  async start(): Promise<void> {
    try {
      await this.launchPatiently();
      await this.createDatabase();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.supervision = this.supervise();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.end();
    await this.supervision;
  }

  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  private urlOf(database: string): string {
    return `postgres://${SUPERUSER}:${this.cluster.password}@${HOST}:${this.port}/${database}`;
  }

  /** Sessions of a postmaster that was killed may outlive it for a moment, and keep its memory segment. */
  private async launchPatiently(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const problem = await this.launch();
      if (problem === undefined) return;
      if (attempt >= START_ATTEMPTS_MAX || this.isStopping()) throw new Error(problem);
      await sleep(RESTART_BACKOFF_MIN_MS * 2 ** attempt);
    }
  }

  /** @returns why the server is not there; undefined when it answers */
  private async launch(): Promise<string | undefined> {
    await endOrphan(this.cluster.folder, this.log);
    const said: string[] = [];
    const postmaster = spawnPostmaster(this.cluster, this.port);
    const program = { running: true };
    logLines(postmaster, (line) => {
      if (said.push(line) > 8) said.shift();
      if (WORTH_LOGGING.test(line) && !STARTING_UP.test(line)) this.log(line);
    });
    this.postmaster = postmaster;
    this.ended = new Promise((settle) => {
      const end = (how: string): void => {
        program.running = false;
        settle(how);
      };
      postmaster.once('error', (error) => {
        end(error.message);
      });
      postmaster.once('exit', (code, signal) => {
        end(`exit ${code ?? String(signal)}`);
      });
    });
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (program.running && !this.isStopping()) {
      if (await this.answers()) return undefined;
      if (Date.now() > deadline) {
        await this.end();
        return `Postgres does not answer after ${START_TIMEOUT_MS} ms: ${said.join(' | ')}`;
      }
      await sleep(CONNECT_POLL_MS);
    }
    return `Postgres ended while starting (${await this.ended}): ${said.join(' | ')}`;
  }

  private async answers(): Promise<boolean> {
    const client = new Client({
      connectionString: this.urlOf('postgres'),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      return false;
    }
  }

  private async createDatabase(): Promise<void> {
    const client = new Client({ connectionString: this.urlOf('postgres') });
    await client.connect();
    try {
      const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
      if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    } finally {
      await client.end();
    }
  }

  /** Ends when `stop()` was called. */
  private async supervise(): Promise<void> {
    let backoffMs = RESTART_BACKOFF_MIN_MS;
    while (!this.isStopping()) {
      const startedAt = Date.now();
      const how = await this.ended;
      if (this.isStopping()) return;
      if (Date.now() - startedAt > HEALTHY_AFTER_MS) backoffMs = RESTART_BACKOFF_MIN_MS;
      this.log(`Postgres ended by itself (${how}); starting it again in ${backoffMs} ms`);
      await sleep(backoffMs, undefined, { signal: this.stopping.signal }).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, RESTART_BACKOFF_MAX_MS);
      if (this.isStopping()) return;
      const problem = await this.launch();
      if (!this.isStopping()) this.log(problem ?? `Postgres is back on port ${this.port}`);
    }
  }

  private async end(): Promise<void> {
    if (this.postmaster === undefined) return;
    const steps: readonly (readonly [NodeJS.Signals, number])[] = [
      ['SIGINT', STOP_FAST_MS],
      ['SIGQUIT', STOP_IMMEDIATE_MS],
      ['SIGKILL', STOP_IMMEDIATE_MS],
    ];
    for (const [signal, patienceMs] of steps) {
      if (this.postmaster.exitCode !== null || this.postmaster.signalCode !== null) return;
      this.postmaster.kill(signal);
      const giveUp = new AbortController();
      await Promise.race([
        this.ended,
        sleep(patienceMs, undefined, { signal: giveUp.signal }).catch(() => undefined),
      ]);
      giveUp.abort();
    }
  }
}

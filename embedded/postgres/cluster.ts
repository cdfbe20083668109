import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { giveWay } from '../../src/kernel/background';
import { chooseAccount, type Account } from './account';
import { locateBinaries, type PostgresBinaries } from './binaries';

export const SUPERUSER = 'parley';
export const DATABASE = 'parley';
export const HOST = '127.0.0.1';

/** For a machine that runs everything: small, and no parallel workers, whose shared memory containers lack. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '128MB',
  effective_cache_size: '512MB',
  maintenance_work_mem: '64MB',
  max_wal_size: '1GB',
  max_parallel_workers_per_gather: '0',
  max_parallel_maintenance_workers: '0',
  random_page_cost: '1.1',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'warning',
  log_checkpoints: 'off',
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
};

/** What a test may give up: nothing it writes has to survive a power cut. */
const VOLATILE_SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
};

/** A cluster on disk, ready to be run. */
export interface Cluster {
  /** PGDATA, absolute. */
  readonly folder: string;
  readonly password: string;
  readonly account: Account;
  readonly binaries: PostgresBinaries;
  readonly durable: boolean;
  /** File that keeps the port from start to start, so that what was configured elsewhere stays right. */
  readonly portFile: string;
}

/** Finds the cluster below `dataDir`, or makes one. */
export async function prepareCluster(
  dataDir: string,
  durable: boolean,
  log: (message: string) => void,
): Promise<Cluster> {
  await mkdir(dataDir, { recursive: true, mode: 0o755 });
  const folder = join(dataDir, 'cluster');
  const binaries = await locateBinaries(join(dataDir, 'lib'));
  const account = await chooseAccount(folder, [binaries.postgres, folder], log);
  // The account of the cluster passes through this folder; the secrets in it have modes of their own.
  if (account.owner !== undefined) await chmod(dataDir, 0o711);
  const password = await keptPassword(join(dataDir, 'password'));
  const cluster = { folder, password, account, binaries, durable, portFile: join(dataDir, 'port') };
  if (!(await exists(folder))) await initialise(cluster, dataDir, log);
  return cluster;
}

/** Starts one of the cluster's programs as its account, in a session of its own, at background priority. */
function spawnAs(cluster: Cluster, program: string, options: readonly string[]): ChildProcess {
  const { owner, prefix } = cluster.account;
  const [command, ...rest] = [...prefix, program, ...options] as [string, ...string[]];
  const child = spawn(command, rest, {
    ...(prefix.length === 0 ? owner : {}),
    env: { ...process.env, ...cluster.binaries.environment, LC_ALL: 'C', TZ: 'UTC' },
    // A Ctrl-C at the terminal goes to every process of its group; Postgres must outlive our drain.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  giveWay(child.pid);
  return child;
}

export function spawnPostmaster(cluster: Cluster, port: number): ChildProcess {
  const settings = { ...SETTINGS, ...(cluster.durable ? {} : VOLATILE_SETTINGS), port: String(port) };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return spawnAs(cluster, cluster.binaries.postgres, ['-D', cluster.folder, ...options]);
}

/** Calls `log` with each line of the program's output. */
export function logLines(program: ChildProcess, log: (line: string) => void): void {
  for (const stream of [program.stdout, program.stderr]) {
    let partial = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (partial + text).split('\n');
      partial = lines.pop() ?? '';
      lines.filter((line) => line.trim() !== '').forEach(log);
    });
  }
}

/** The port of the last start when it is still free, else a free one, which is kept from now on. */
export async function keptPort(cluster: Cluster): Promise<number> {
  const kept = Number((await readIfThere(cluster.portFile)) ?? '0');
  if (kept > 0 && (await probe(kept)) === kept) return kept;
  const port = await probe(0);
  if (port === undefined) throw new Error(`no free port on ${HOST} for Postgres`);
  await writeFile(cluster.portFile, `${port}\n`);
  return port;
}

async function probe(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen(port, HOST, () => {
      const { port: found } = server.address() as AddressInfo;
      server.close(() => {
        resolve(found);
      });
    });
  });
}

async function keptPassword(file: string): Promise<string> {
  const kept = await readIfThere(file);
  if (kept !== undefined && kept.trim() !== '') return kept.trim();
  const password = randomBytes(24).toString('base64url');
  // Flushed before the cluster is made: a cluster whose password is lost is lost with it.
  await writeFile(file, `${password}\n`, { mode: 0o600, flush: true });
  return password;
}

async function initialise(cluster: Cluster, dataDir: string, log: (message: string) => void): Promise<void> {
  const started = Date.now();
  // A cluster that was interrupted in its making is never taken for one: it gets its name when complete.
  const making = join(dataDir, 'cluster.making');
  const passwordFile = join(dataDir, 'password.making');
  await rm(making, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await mkdir(making, { mode: 0o700 });
  await writeFile(passwordFile, `${cluster.password}\n`, { mode: 0o600 });
  const { owner } = cluster.account;
  if (owner !== undefined) {
    await chown(making, owner.uid, owner.gid);
    await chown(passwordFile, owner.uid, owner.gid);
  }
  try {
    await initdb(cluster, making, passwordFile);
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rename(making, cluster.folder);
  await sync(dataDir);
  log(`made a Postgres cluster in ${cluster.folder} in ${Date.now() - started} ms`);
}

async function initdb(cluster: Cluster, folder: string, passwordFile: string): Promise<void> {
  const child = spawnAs(cluster, cluster.binaries.initdb, [
    `--pgdata=${folder}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Postgres' own Unicode rules: the same order and case on every machine, whatever its C library knows.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(cluster.durable ? [] : ['--no-sync']),
  ]);
  const output: string[] = [];
  logLines(child, (line) => output.push(line));
  const outcome = await new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve(String(code ?? signal));
    });
  });
  if (outcome !== '0') throw new Error(`initdb failed (${outcome}): ${output.slice(-8).join(' | ')}`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}

/** Text of a small file; undefined when there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

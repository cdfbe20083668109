import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { endOrphan } from '../../embedded/postgres/orphan';

const ROOT = join(__dirname, '..', '..');
const FOLDERS = ['src', 'projections', 'embedded', 'sdk', 'tools'];
const START_TIMEOUT_MS = 60_000;
const EXIT_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

const run = promisify(execFile);
type Environment = Readonly<Record<string, string>>;

/**
 * Compiles the server as `npm run build` does, beside `dist`, which somebody may be building at this moment.
 * @returns the folder of what came out
 */
export async function buildServer(): Promise<string> {
  const folder = join(ROOT, 'node_modules', '.cache', 'parley-process-spec');
  const swc = join(ROOT, 'node_modules', '.bin', 'swc');
  const options = ['--out-dir', folder, '--config-file', join(ROOT, '.swcrc'), '--quiet'];
  await run(swc, [...FOLDERS, ...options], { cwd: ROOT });
  return folder;
}

/** Below those that the system gives to outgoing connections: Linux begins at 32,768. */
const PORTS = { first: 15_000, count: 17_000 };

/**
 * A port for a server that may be killed and started again. Not one of those that the system chooses: while the server is
 * away, somebody's outgoing connection could get its port, or even one that looks for it connect to itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    const probe = createServer();
    const isFree = new Promise<boolean>((resolve) => {
      probe
        .once('error', () => {
          resolve(false);
        })
        .listen(port, '127.0.0.1', () => {
          resolve(true);
        });
    });
    if (!(await isFree)) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

/** A node of Parley as people run it: a process of its own, on its embedded stores. */
export class ServerProcess {
  /** Everything it printed so far. */
  output = '';
  readonly url: string;
  private readonly child: ChildProcess;
  private readonly ended: Promise<number | NodeJS.Signals>;

  constructor(
    script: string,
    readonly environment: Environment,
    wrapper: readonly string[] = [],
  ) {
    this.url = `http://127.0.0.1:${environment['PORT'] ?? ''}`;
    const command = wrapper[0] ?? process.execPath;
    const args = [...wrapper, process.execPath, script].slice(1);
    this.child = spawn(command, args, {
      // Nothing of the test run's own settings: a DATABASE_URL of it would be another server.
      env: { PATH: process.env['PATH'] ?? '', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        resolve(code ?? signal ?? 'SIGKILL');
      });
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** @returns how long it took, in milliseconds. @throws Error with what it printed */
  async ready(): Promise<number> {
    const startedAt = performance.now();
    while (!(await this.answers())) {
      const waitedMs = performance.now() - startedAt;
      if (!this.isRunning || waitedMs > START_TIMEOUT_MS) {
        throw new Error(`not ready after ${Math.round(waitedMs)} ms: ${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return performance.now() - startedAt;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** @returns its exit code, or the signal that ended it. @throws Error when it does not end within 30 s */
  async exit(): Promise<number | NodeJS.Signals> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`still running: ${this.output}`));
      }, EXIT_TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it and the Postgres it may leave behind, whatever state they are in. */
  async destroy(): Promise<void> {
    if (this.isRunning) {
      this.signal('SIGKILL');
      await this.exit();
    }
    await endOrphan(clusterOf(this.environment), () => undefined);
  }

  private async answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/health/ready`)).ok;
    } catch {
      return false;
    }
  }
}

const clusterOf = (environment: Environment): string =>
  join(environment['DATA_DIR'] ?? '', 'postgres', 'cluster');

/** Of the Postgres that runs, or ran, in a data folder; undefined: it stopped in good order, or never was. */
export async function postmasterPid(dataDir: string): Promise<number | undefined> {
  const file = join(clusterOf({ DATA_DIR: dataDir }), 'postmaster.pid');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/** A process that has ended but whom nobody has buried, as in containers without an init, is not alive. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
}

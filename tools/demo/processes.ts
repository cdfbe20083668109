import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const ENTRY = join(__dirname, '..', '..', 'src', 'main.js');
const IMPORT = join(__dirname, '..', 'import', 'main.js');

type Environment = Readonly<Record<string, string>>;

function start(script: string, args: readonly string[], environment: Environment): ChildProcess {
  return spawn(process.execPath, [script, ...args], {
    env: { ...process.env, ...environment },
    // The import shows its progress; of the server only complaints are of interest here.
    stdio: script === IMPORT ? 'inherit' : ['ignore', 'ignore', 'inherit'],
  });
}

/** Runs the importer over one log, in the data folder of the demo. */
export async function importLog(file: string, dataDir: string): Promise<void> {
  const child = start(IMPORT, ['irc', file], { DATA_DIR: dataDir });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the import ended with ${String(code)}`);
}

export interface ServerProcess {
  readonly url: string;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** A Parley server as a process of its own, as `npm start` runs it; ready when this resolves. */
export async function startServer(dataDir: string): Promise<ServerProcess> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = start(ENTRY, [], {
    DATA_DIR: dataDir,
    PORT: String(port),
    HOST: '127.0.0.1',
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'error',
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await isReady(url))) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`);
    if (Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`the server was not ready within ${START_TIMEOUT_MS / 1_000} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return {
    url,
    stop: async () => {
      if (child.exitCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health/ready`)).ok;
  } catch {
    return false;
  }
}

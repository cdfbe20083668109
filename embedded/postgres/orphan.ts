import { readFile, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readIfThere } from './cluster';

/** A fast stop ends sessions and writes a checkpoint; an immediate one leaves recovery to the next start. */
const STOP_STEPS: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGINT', 10_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
];
const POLL_MS = 20;

/**
 * Ends what an earlier start of ours left running in this cluster, for instance because our process was
 * killed: a second postmaster could not start beside it, and nobody else would ever stop it.
 *
 * Only to be called by the holder of the instance lock of the data folder.
 */
export async function endOrphan(folder: string, log: (message: string) => void): Promise<void> {
  const pidFile = join(folder, 'postmaster.pid');
  const text = await readIfThere(pidFile);
  if (text === undefined) return;
  const pid = Number.parseInt(text, 10);
  if (Number.isInteger(pid) && pid > 1 && (await isPostmasterOf(pid, folder))) {
    log(`ending the Postgres (pid ${pid}) that an earlier run left behind in ${folder}`);
    await endProcess(pid, folder);
  }
  // A number left behind may since have been given to any other program, which Postgres would respect.
  await rm(pidFile, { force: true });
}

async function endProcess(pid: number, folder: string): Promise<void> {
  for (const [signal, patienceMs] of STOP_STEPS) {
    if (!signalled(pid, signal)) return;
    for (let waited = 0; waited < patienceMs; waited += POLL_MS) {
      if (!(await isPostmasterOf(pid, folder))) return;
      await sleep(POLL_MS);
    }
  }
  throw new Error(`cannot end the Postgres (pid ${pid}) that runs in ${folder}`);
}

function signalled(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** A postmaster's working directory is its cluster, which no other program with the same number has. */
async function isPostmasterOf(pid: number, folder: string): Promise<boolean> {
  if (process.platform !== 'linux') return isAlive(pid);
  try {
    const [cwd, state] = await Promise.all([
      readlink(`/proc/${pid}/cwd`),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    const zombie = /\) Z /.test(state);
    return !zombie && cwd === (await realpath(folder));
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

import { randomBytes } from 'node:crypto';
import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** `sockaddr_un` holds 104 bytes on macOS, 108 on Linux. */
const SOCKET_PATH_BYTES_MAX = 100;
const ANSWER_TIMEOUT_MS = 1_000;
const ATTEMPTS_MAX = 100;
/** A reader of the folder always finds one of them, whatever is made and removed while it reads. */
const GENERATIONS_KEPT = 2;
const LOCK_NAME = /^instance\.(\d+)\.lock$/;
const PID_FILE = 'instance.pid';

export interface InstanceLock {
  /** Gives the folder free; once is enough, twice is harmless. */
  release(): Promise<void>;
}

/** Another live process works in the folder. */
export class InstanceRunning extends Error {
  override readonly name = 'InstanceRunning';
  constructor(
    readonly dataDir: string,
    readonly pid: number | undefined,
  ) {
    const who = pid === undefined ? 'another process' : `another process (pid ${pid})`;
    super(`${who} already runs on the data folder ${dataDir}; stop it, or give this one its own DATA_DIR`);
  }
}

/**
 * Makes this process the only one that works in `dataDir`, until it releases the lock or ends, however it ends.
 *
 * The lock is a listening Unix socket, because the kernel closes it with its process: no file to go stale, no
 * pid that another program may have by now, no timer. Its place in the folder is numbered: the owner is whoever
 * linked the highest number, and a dead owner is succeeded by whoever links the next one, which succeeds for
 * exactly one. The highest number is never removed, or a late successor of an earlier owner could take it.
 *
 * @throws InstanceRunning when another process holds it
 */
export async function acquireInstanceLock(dataDir: string): Promise<InstanceLock> {
  const folder = resolve(dataDir);
  await mkdir(folder, { recursive: true });
  const short = await shortPath(folder);
  try {
    return await acquire(folder, short.path);
  } finally {
    await short.forget();
  }
}

async function acquire(folder: string, short: string): Promise<InstanceLock> {
  const socketName = `instance.${process.pid}-${randomBytes(6).toString('hex')}`;
  const server = await listen(join(short, socketName));
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const highest = (await generations(folder)).at(-1) ?? 0;
      if (highest > 0) await refuseIfAlive(folder, join(short, lockName(highest)));
      if (!(await linked(join(folder, socketName), join(folder, lockName(highest + 1))))) continue;
      const others = await generations(folder);
      // Ours was the number of an owner long succeeded: that one's successor is there, and decides.
      if (others.at(-1) !== highest + 1) continue;
      await settle(folder, highest + 1, others);
      return { release: () => close(server) };
    }
    throw new Error(`cannot lock ${folder}: too many processes start on it at once`);
  } catch (error) {
    await close(server);
    throw error;
  } finally {
    // What counts from here on is the numbered link to the same socket.
    await rm(join(folder, socketName), { force: true });
  }
}

const lockName = (generation: number): string => `instance.${generation}.lock`;

/** Ascending. */
async function generations(folder: string): Promise<readonly number[]> {
  const names = await readdir(folder);
  return names
    .map((name) => Number(LOCK_NAME.exec(name)?.[1] ?? 0))
    .filter((generation) => generation > 0)
    .sort((a, b) => a - b);
}

async function linked(socket: string, target: string): Promise<boolean> {
  try {
    await link(socket, target);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function settle(folder: string, own: number, all: readonly number[]): Promise<void> {
  const old = all.filter((generation) => generation <= own - GENERATIONS_KEPT);
  for (const generation of old) await rm(join(folder, lockName(generation)), { force: true });
  // Only for the message of whoever is refused while this process is too busy to answer.
  await writeFile(join(folder, PID_FILE), `${process.pid}\n`);
}

async function refuseIfAlive(folder: string, socketPath: string): Promise<void> {
  const answer = await new Promise<string | undefined>((resolveAnswer) => {
    let text = '';
    const socket = connect(socketPath);
    socket.setEncoding('utf8').setTimeout(ANSWER_TIMEOUT_MS, () => {
      resolveAnswer(text);
      socket.destroy();
    });
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('end', () => {
      resolveAnswer(text);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Nobody listens, or the place was cleared by a later owner. Anything else is no proof of death.
      const dead = error.code === 'ECONNREFUSED' || error.code === 'ENOENT';
      resolveAnswer(dead ? undefined : text);
    });
  });
  if (answer === undefined) return;
  const pid = Number.parseInt(answer, 10) || (await notedPid(folder));
  throw new InstanceRunning(folder, pid);
}

async function notedPid(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, PID_FILE), 'utf8').catch(() => '');
  return Number.parseInt(text, 10) || undefined;
}

async function listen(path: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`${process.pid}\n`);
  });
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(path, done);
  });
  // The lock must not keep a process alive that has nothing else to do.
  server.unref();
  return server;
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((done) => {
    server.close(() => {
      done();
    });
  });
}

interface ShortPath {
  readonly path: string;
  forget(): Promise<void>;
}

/** A way into the folder that fits a socket address. */
async function shortPath(folder: string): Promise<ShortPath> {
  const longest = join(folder, `instance.${Number.MAX_SAFE_INTEGER}-${'f'.repeat(12)}`);
  if (Buffer.byteLength(longest) <= SOCKET_PATH_BYTES_MAX) {
    return { path: folder, forget: () => Promise.resolve() };
  }
  const detour = await mkdtemp(join(tmpdir(), 'parley-'));
  const path = join(detour, 'd');
  await symlink(folder, path);
  return {
    path,
    forget: async () => {
      await unlink(path);
      await rm(detour, { recursive: true });
    },
  };
}

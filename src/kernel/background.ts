import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

/**
 * Niceness of what nobody waits for at this very moment: read models and their database. Against the thread that
 * answers devices it still gets a quarter of a core that both want, and all of one that is free.
 */
export const BACKGROUND_NICENESS = 5;

/** Lets a child process of this one, and all that it starts, give way. Call it before the child starts any. */
export function giveWay(pid: number | undefined): void {
  if (pid !== undefined) lower(pid);
}

/** Lets the calling thread give way: to Linux a thread is scheduled like a process. Elsewhere nothing happens. */
export function giveWayAsThread(): void {
  if (process.platform === 'linux') lower(Number(basename(readlinkSync('/proc/thread-self'))));
}

function lower(id: number): void {
  try {
    setPriority(id, BACKGROUND_NICENESS);
  } catch {
    // It has ended already, or has a higher niceness, or this system has none: it runs all the same.
  }
}

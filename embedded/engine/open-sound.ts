import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkDataFile, hasDataFile } from './data-file';
import { EngineError } from './errors';
import { Storage } from './storage';

/** Says that a store was made here: a data file that is missing, or empty, is then one that was lost. */
const MADE = 'made';
/** More than the files have that a start makes. */
const PROBE_BYTES = 65_536;
const ADVICE =
  'Nothing was changed. Keep the folder, put a backup in its place and run `npm run eventstore -- new-epoch`; ' +
  '`npm run eventstore -- check` tells whether that one is whole.';

/**
 * Opens or makes the store in a folder, after a look at its file that does not depend on how much is in it.
 * @throws EngineError `newerFormat`, `corrupt`; what the system says when there is no room
 */
export function openSound(path: string): Storage {
  const made = join(path, MADE);
  if (hasDataFile(path)) checkDataFile(path, 'ends');
  else if (existsSync(made)) {
    throw new EngineError(
      'corrupt',
      `the folder ${path} had an event store, and its data file is gone or empty`,
    );
  }
  assertRoom(path);
  const storage = Storage.open(path);
  if (!existsSync(made)) writeFileSync(made, `${new Date().toISOString()}\n`);
  return storage;
}

/**
 * The library maps the files that it makes, and writing to a mapped page for which the disk has no room ends the process
 * by a signal: whether there is room is tried in a way that gives an error.
 */
function assertRoom(path: string): void {
  const probe = join(path, 'room');
  try {
    writeFileSync(probe, Buffer.alloc(PROBE_BYTES), { flush: true });
  } finally {
    rmSync(probe, { force: true });
  }
}

const ROOM_ADVICE = 'Nothing was lost. Make room, or give it another DATA_DIR, and start again.';
const NO_ROOM = /^(ENOSPC|EDQUOT|EFBIG|EROFS)$/;
const NO_ROOM_MESSAGE = /No space left|Disk quota exceeded|File too large|Read-only file system/;
const NEWER_ADVICE = 'Nothing was changed. Start the version of this program that wrote it, or a later one.';

/** An error of opening with what to do about it; others as they are. */
export function explained(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error instanceof EngineError && error.kind === 'newerFormat')
    return new EngineError('newerFormat', `${error.message}. ${NEWER_ADVICE}`, { cause: error });
  if (NO_ROOM.test((error as NodeJS.ErrnoException).code ?? '') || NO_ROOM_MESSAGE.test(error.message))
    return new EngineError('unwritable', `the disk takes no more: ${error.message}. ${ROOM_ADVICE}`, {
      cause: error,
    });
  const isDamage = error instanceof EngineError && error.kind === 'corrupt';
  // What the library finds by itself, and values that are no JSON any more.
  if (!isDamage && !/\bMDB_|^Unexpected |in JSON at/.test(error.message)) return error;
  return new EngineError('corrupt', `${error.message}. ${ADVICE}`, { cause: error });
}

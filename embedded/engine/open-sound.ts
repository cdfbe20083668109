import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkDataFile, hasDataFile } from './data-file';
import { EngineError } from './errors';
import { Storage } from './storage';

/** Says that a store was made here: a data file that is missing, or empty, is then one that was lost. */
const MADE = 'made';
const ADVICE =
  'Nothing was changed. Keep the folder, put a backup in its place and run `npm run eventstore -- new-epoch`; ' +
  '`npm run eventstore -- check` tells whether that one is whole.';

/**
 * Opens or makes the store in a folder, after a look at its file that does not depend on how much is in it.
 * @throws EngineError `newerFormat`, `corrupt`
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
  const storage = Storage.open(path);
  if (!existsSync(made)) writeFileSync(made, `${new Date().toISOString()}\n`);
  return storage;
}

/** An error of opening with what to do about it; others as they are. */
export function explained(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const isDamage = error instanceof EngineError && error.kind === 'corrupt';
  // What the library finds by itself, and values that are no JSON any more.
  if (!isDamage && !/\bMDB_|^Unexpected |in JSON at/.test(error.message)) return error;
  return new EngineError('corrupt', `${error.message}. ${ADVICE}`, { cause: error });
}

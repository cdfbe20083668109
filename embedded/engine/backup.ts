import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { checkStore, type OnChecked, type StoreContent } from './check';
import { EngineError } from './errors';
import { Storage } from './storage';

/**
 * Copies the store in `path` as it is at this moment into the folder `to`, which is made; another process may have it
 * open and go on writing. The copy is read to its end before it gets its name: what is there under it is whole.
 *
 * @throws EngineError `invalid` when `to` holds something, `corrupt` when what was copied is damaged
 */
export async function backupStore(path: string, to: string, onChecked: OnChecked): Promise<StoreContent> {
  const there = await readdir(to).catch(() => []);
  if (there.length > 0) throw new EngineError('invalid', `the folder ${to} is not empty`);
  const partial = `${to}.partial`;
  // Of a backup that was stopped half-way.
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const storage = Storage.open(path, { readOnly: true });
  try {
    await storage.backup(partial);
  } finally {
    await storage.close();
  }
  const content = await checkStore(partial, onChecked);
  for (const name of await readdir(partial)) {
    if (name !== 'data.mdb') await rm(`${partial}/${name}`);
  }
  await synced(`${partial}/data.mdb`);
  await rm(to, { recursive: true, force: true });
  await rename(partial, to);
  await synced(dirname(to));
  return content;
}

async function synced(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

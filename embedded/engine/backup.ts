import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { acquireInstanceLock } from '../instance-lock';
import { checkDataFile } from './data-file';
import { EngineError } from './errors';
import { TOMBSTONE_TYPE, type RecordedEvent } from './record';
import { Storage } from './storage';
import { decodeRow } from './stream-state';

/** Records looked at between two reports of how far one is. */
const PAGE_RECORDS = 4_096;

export interface StoreContent {
  /** That are there; scavenged ones are not. */
  readonly events: number;
  /** Position of the last one; -1: none. */
  readonly head: number;
  readonly epoch: string;
}

export type OnChecked = (done: number, total: number) => void;

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

/**
 * Reads a store that nobody has open from end to end: the file's structure, every record's check sum, and whether the
 * index finds each record.
 *
 * @throws EngineError `corrupt`, naming the first that is damaged; InstanceRunning
 */
export async function checkStore(path: string, onChecked: OnChecked): Promise<StoreContent> {
  const lock = await acquireInstanceLock(path);
  try {
    checkDataFile(path, 'everything');
    const storage = Storage.open(path, { readOnly: true });
    try {
      return checkRecords(storage, onChecked);
    } finally {
      await storage.close();
    }
  } finally {
    await lock.release();
  }
}

function checkRecords(storage: Storage, onChecked: OnChecked): StoreContent {
  const head = storage.lastPosition();
  // What came after is in no index yet: it is made from the records at the next start.
  const indexedBefore = Number(storage.metaValue('accountedBefore') ?? 0);
  let events = 0;
  for (let next = 0; next <= head;) {
    let last = next - 1;
    for (const event of storage.records(next, head, PAGE_RECORDS)) {
      events++;
      last = event.position;
      if (last < indexedBefore) checkIndex(storage, event);
    }
    if (last < next) break;
    next = last + 1;
    onChecked(next, head + 1);
  }
  return { events, head, epoch: storage.epoch };
}

function checkIndex(storage: Storage, { stream, type, revision, position }: RecordedEvent): void {
  if (type === TOMBSTONE_TYPE) return;
  const row = storage.stream(stream);
  const entries = row === undefined ? [] : storage.indexEntries(decodeRow(row).id, revision, revision);
  if (entries[0]?.position === position) return;
  throw new EngineError('corrupt', `the index does not find the record at position ${position}`);
}

async function synced(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

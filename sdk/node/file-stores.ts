import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CursorState, CursorStore, OutboxEntry, OutboxStore } from '../stores';

async function readJson<T>(path: string, absent: T): Promise<T> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return absent;
    throw error;
  }
}

/** Whole or not at all: written beside, forced to disk, then renamed over the old one. */
async function writeJson(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(value));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

/** Cursors in a file of one device; two processes must not share it. */
export class FileCursorStore implements CursorStore {
  constructor(private readonly path: string) {}

  load(): Promise<CursorState> {
    return readJson<CursorState>(this.path, { epoch: undefined, cursors: {} });
  }

  save(state: CursorState): Promise<void> {
    return writeJson(this.path, state);
  }
}

/** Unsent messages in a file of one device. */
export class FileOutboxStore implements OutboxStore {
  constructor(private readonly path: string) {}

  load(): Promise<readonly OutboxEntry[]> {
    return readJson<readonly OutboxEntry[]>(this.path, []);
  }

  save(entries: readonly OutboxEntry[]): Promise<void> {
    return writeJson(this.path, entries);
  }
}

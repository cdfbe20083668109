import { open } from 'lmdb';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

type Row = readonly [key: Buffer, value: Buffer];

/** Puts rows into a store of the engine behind its back; nobody may have it open. */
export async function putRows(path: string, tables: Readonly<Record<string, readonly Row[]>>): Promise<void> {
  const lmdb = open<Buffer, Buffer>({ path, maxDbs: 8, overlappingSync: false, noSubdir: false, ...BINARY });
  for (const [name, rows] of Object.entries(tables)) {
    const table = lmdb.openDB<Buffer, Buffer>(name, BINARY);
    for (const [key, value] of rows) await table.put(key, value);
  }
  await lmdb.close();
}

/** All rows of a table of a store that nobody has open. */
export async function rowsOf(path: string, table: string): Promise<readonly Row[]> {
  const lmdb = open<Buffer, Buffer>({ path, maxDbs: 8, overlappingSync: false, noSubdir: false, ...BINARY });
  const rows = [...lmdb.openDB<Buffer, Buffer>(table, BINARY).getRange({})].map(({ key, value }): Row => [
    Buffer.from(key),
    Buffer.from(value),
  ]);
  await lmdb.close();
  return rows;
}

/** A fact about the store itself, as it stands there: JSON, and from the second format on a check sum. */
export const metaRow = (key: string, text: string): Row => [Buffer.from(key), Buffer.from(text)];

/** Takes rows out of a store of the engine behind its back; nobody may have it open. */
export async function removeRows(path: string, table: string, keys: readonly Buffer[]): Promise<void> {
  const lmdb = open<Buffer, Buffer>({ path, maxDbs: 8, overlappingSync: false, noSubdir: false, ...BINARY });
  const from = lmdb.openDB<Buffer, Buffer>(table, BINARY);
  for (const key of keys) await from.remove(key);
  await lmdb.close();
}

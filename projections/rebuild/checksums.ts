import type { Client } from 'pg';
import { LIVE_SCHEMA, SIDE_SCHEMA } from './side-schema';

export interface TableChecksums {
  readonly table: string;
  readonly liveRows: number;
  readonly rebuiltRows: number;
  readonly equal: boolean;
}

/**
 * Compares tables row for row by sums of two independent 64-bit hashes of the rows' text, so that the order in
 * which they lie does not matter and nothing has to be sorted. Two connections, because a large table keeps one busy.
 * @param live in a transaction of one snapshot
 * @param side sees tables that nobody writes
 */
export async function compareTables(
  live: Client,
  side: Client,
  tables: readonly string[],
): Promise<readonly TableChecksums[]> {
  const compared: TableChecksums[] = [];
  for (const table of tables) {
    const [served, rebuilt] = await Promise.all([
      checksum(live, `${LIVE_SCHEMA}.${table}`),
      checksum(side, `${SIDE_SCHEMA}.${table}`),
    ]);
    compared.push({
      table,
      liveRows: served.rows,
      rebuiltRows: rebuilt.rows,
      equal: served.rows === rebuilt.rows && served.sums === rebuilt.sums,
    });
  }
  return compared;
}

async function checksum(
  client: Client,
  table: string,
): Promise<{ readonly rows: number; readonly sums: string }> {
  const { rows } = await client.query<{ count: string; first: string | null; second: string | null }>(
    // OFFSET 0 keeps the two hashes from making the text of the row each for itself.
    `SELECT count(*) AS count, sum(hashtextextended(line, 1))::text AS first,
            sum(hashtextextended(line, 2))::text AS second
     FROM (SELECT t::text AS line FROM ${table} t OFFSET 0) lines`,
  );
  const [row] = rows;
  return { rows: Number(row?.count), sums: `${row?.first ?? '0'}/${row?.second ?? '0'}` };
}

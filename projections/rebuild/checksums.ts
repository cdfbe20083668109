import type { Queryable } from '../../src/infrastructure/postgres/database';
import { LIVE_SCHEMA, SIDE_SCHEMA } from './side-schema';

export interface TableChecksums {
  readonly table: string;
  readonly liveRows: number;
  readonly rebuiltRows: number;
  readonly equal: boolean;
}

/**
 * Compares tables row for row by sums of two independent 64-bit hashes of the rows' text, so that the order in
 * which they lie does not matter and nothing has to be sorted. In a transaction of one snapshot.
 */
export async function compareTables(
  client: Queryable,
  tables: readonly string[],
): Promise<readonly TableChecksums[]> {
  const compared: TableChecksums[] = [];
  for (const table of tables) {
    const live = await checksum(client, `${LIVE_SCHEMA}.${table}`);
    const rebuilt = await checksum(client, `${SIDE_SCHEMA}.${table}`);
    compared.push({
      table,
      liveRows: live.rows,
      rebuiltRows: rebuilt.rows,
      equal: live.rows === rebuilt.rows && live.sums === rebuilt.sums,
    });
  }
  return compared;
}

async function checksum(
  client: Queryable,
  table: string,
): Promise<{ readonly rows: number; readonly sums: string }> {
  const [row] = await client.query<{ rows: string; first: string | null; second: string | null }>(
    `SELECT count(*) AS rows, sum(hashtextextended(t::text, 1)::numeric)::text AS first,
            sum(hashtextextended(t::text, 2)::numeric)::text AS second
     FROM ${table} t`,
  );
  return { rows: Number(row?.rows), sums: `${row?.first ?? '0'}/${row?.second ?? '0'}` };
}

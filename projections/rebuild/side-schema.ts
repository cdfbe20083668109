import type { Queryable } from '../../src/infrastructure/postgres/database';
import { readModelDefinitions } from '../../src/infrastructure/postgres/migrate';
import type { Projection } from '../projection';

/** Where the live tables are, and where a rebuild makes its own. */
export const LIVE_SCHEMA = 'read';
export const SIDE_SCHEMA = 'read_next';

/** Tables as they are defined for the live schema, empty, beside it; what an earlier attempt left is gone. */
export async function makeSideSchema(client: Queryable): Promise<void> {
  await client.query('SET LOCAL client_min_messages = warning');
  await client.query(`DROP SCHEMA IF EXISTS ${SIDE_SCHEMA} CASCADE`);
  for (const definition of await readModelDefinitions()) {
    await client.query(definition.replaceAll(/\bSCHEMA IF NOT EXISTS read\b|\bread(?=\.)/g, inSideSchema));
  }
}

const inSideSchema = (match: string): string =>
  match === LIVE_SCHEMA ? SIDE_SCHEMA : `SCHEMA IF NOT EXISTS ${SIDE_SCHEMA}`;

export async function dropSideSchema(client: Queryable): Promise<void> {
  await client.query('SET LOCAL client_min_messages = warning');
  await client.query(`DROP SCHEMA IF EXISTS ${SIDE_SCHEMA} CASCADE`);
}

/**
 * Puts the rebuilt tables in the place of the live ones, with their partitions and indexes, in the caller's
 * transaction: readers have the old ones until it commits, and the new ones from then on.
 */
export async function swapTables(client: Queryable, projection: Projection): Promise<void> {
  for (const table of projection.tables) {
    const partitions = await client.query<{ name: string }>(
      `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
       WHERE i.inhparent = $1::regclass ORDER BY 1`,
      [`${SIDE_SCHEMA}.${table}`],
    );
    await client.query(`DROP TABLE ${LIVE_SCHEMA}.${table}`);
    // Moving a partitioned table leaves its partitions where they are.
    for (const name of [table, ...partitions.map((row) => row.name)]) {
      await client.query(`ALTER TABLE ${SIDE_SCHEMA}.${name} SET SCHEMA ${LIVE_SCHEMA}`);
    }
  }
}

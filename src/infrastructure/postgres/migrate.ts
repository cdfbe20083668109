import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import { StoreUnavailable } from '../../application/ports/store-unavailable';

/** Where the record of applied migrations lives: in the schema that is backed up, beside identity. */
const MIGRATIONS_SCHEMA = 'app';
const MIGRATIONS_TABLE = 'schema_migrations';
/** Files that make read models; each may be applied any number of times. */
const READ_MODEL_FILE = /^\d+_read_.*\.sql$/;
/** One lock per database for all who migrate it: the second of two starting nodes waits for the first. */
export const MIGRATION_LOCK = 7_241_865_325_823;
const CONNECT_TIMEOUT_MS = 5_000;

const quiet = (): void => undefined;

/**
 * Brings the database up to date with `migrations/*.sql`, forward only, all in one transaction. Any number of
 * nodes may do it at once. Read models that were dropped as a schema are made again, empty.
 * @throws StoreUnavailable when Postgres cannot be reached; Error when a migration fails (nothing is changed)
 */
export async function migrate(databaseUrl: string): Promise<void> {
  await locked(databaseUrl, async (client) => {
    await runner({
      dbClient: client,
      dir: migrationsFolder(),
      direction: 'up',
      migrationsSchema: MIGRATIONS_SCHEMA,
      createMigrationsSchema: true,
      migrationsTable: MIGRATIONS_TABLE,
      noLock: true,
      singleTransaction: true,
      log: quiet,
    });
    await makeReadModels(client);
  });
}

/** Makes the tables of all read models that are not there; those that are keep their rows. */
export async function createProjectionTables(databaseUrl: string): Promise<void> {
  await locked(databaseUrl, makeReadModels);
}

/** The SQL that makes the read models' tables in the schema `read`, in its order. */
export async function readModelDefinitions(): Promise<readonly string[]> {
  const folder = migrationsFolder();
  const files = (await readdir(folder)).filter((name) => READ_MODEL_FILE.test(name)).sort();
  return Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
}

async function makeReadModels(client: Client): Promise<void> {
  const definitions = await readModelDefinitions();
  const version = createHash('sha256').update(definitions.join('\n')).digest('hex');
  if (await areMade(client, version)) return;
  await client.query('SET client_min_messages = warning');
  await client.query('BEGIN');
  // Before any other lock, as a projector does: one at work, which holds this row and wants the tables, would otherwise
  // wait for us while we wait for it.
  const { rows } = await client.query<{ there: boolean }>(
    `SELECT to_regclass('read.leases') IS NOT NULL AS there`,
  );
  if (rows[0]?.there === true) await client.query('LOCK TABLE read.leases IN ACCESS EXCLUSIVE MODE');
  for (const definition of definitions) await client.query(definition);
  const made = JSON.stringify({ version, relations: await relationsOf(client) });
  await client.query(`COMMENT ON SCHEMA read IS ${client.escapeLiteral(made)}`);
  await client.query('COMMIT');
}

/**
 * Whether these very definitions were carried out, and all that they made is still there. Carrying them out again would
 * change nothing, but locks every table against writing, under whoever projects just then.
 */
async function areMade(client: Client, version: string): Promise<boolean> {
  const { rows } = await client.query<{ made: string | null }>(
    `SELECT obj_description(to_regnamespace('read')::oid, 'pg_namespace') AS made`,
  );
  const made = parseMade(rows[0]?.made ?? '');
  if (made?.version !== version) return false;
  const there = new Set(await relationsOf(client));
  return made.relations.every((relation) => there.has(relation));
}

/** Tables and indexes. */
async function relationsOf(client: Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ relname: string }>(
    `SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('read')::oid ORDER BY relname`,
  );
  return rows.map(({ relname }) => relname);
}

/** The schema's comment is anybody's to change: what we did not write counts as nothing. */
function parseMade(
  text: string,
): { readonly version: string; readonly relations: readonly string[] } | undefined {
  try {
    const { version, relations } = JSON.parse(text) as { version?: unknown; relations?: unknown };
    return typeof version === 'string' && Array.isArray(relations)
      ? { version, relations: relations.map(String) }
      : undefined;
  } catch {
    return undefined;
  }
}

async function locked(databaseUrl: string, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: 'parley-migrate',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  try {
    await client.connect();
  } catch (error) {
    throw new StoreUnavailable(`Postgres: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  try {
    // Held by the session: ending it below gives the lock back, however the work ended.
    await client.query(`SELECT pg_advisory_lock(${MIGRATION_LOCK})`);
    await work(client);
  } finally {
    await client.end();
  }
}

/** The same folder from the sources and from `dist`: it lies beside the package's package.json. */
function migrationsFolder(): string {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    const migrations = join(folder, 'migrations');
    if (existsSync(join(folder, 'package.json')) && existsSync(migrations)) return migrations;
    if (dirname(folder) === folder) throw new Error(`no migrations folder above ${__dirname}`);
  }
}

import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { Database } from '../../src/infrastructure/postgres/database';
import { migrate } from '../../src/infrastructure/postgres/migrate';

const CONNECTIONS_MAX = 8;
/** Any number, the same in all workers: they wait for the one that makes the template. */
const TEMPLATE_LOCK = 7_201_517;

export interface TestDatabase {
  readonly url: string;
  readonly database: Database;
  /** Closes `database` and deletes it with everything in it. */
  drop(): Promise<void>;
}

/** A fresh, migrated database of its own on the run's Postgres (project `stores` only). */
export async function createTestDatabase(): Promise<TestDatabase> {
  const admin = await connect(adminUrl());
  // Counting would begin anew with each spec file: one that leaves a database behind would fail the others.
  const name = `${runPrefix()}_${randomUUID().slice(0, 13).replace('-', '')}`;
  try {
    const template = await migratedTemplate(admin);
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  } finally {
    await admin.end();
  }
  const url = urlOf(name);
  const database = new Database(url, { connectionsMax: CONNECTIONS_MAX, name: 'test' });
  return {
    url,
    database,
    drop: async () => {
      await database.close();
      await dropDatabase(name);
    },
  };
}

/** Deletes what a run made on a server that outlives it. */
export async function dropDatabasesOfRun(): Promise<void> {
  const admin = await connect(adminUrl());
  try {
    const found = await admin.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [runPrefix()],
    );
    for (const { datname } of found.rows) await admin.query(`DROP DATABASE ${datname} WITH (FORCE)`);
  } finally {
    await admin.end();
  }
}

/** Migrations run once a run; a copy of the outcome takes milliseconds. */
async function migratedTemplate(admin: Client): Promise<string> {
  const template = `${runPrefix()}_template`;
  await admin.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
  try {
    const found = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
    if (found.rowCount === 1) return template;
    // Under another name until it is migrated: a migration that fails must not leave half a template.
    const making = `${template}_making`;
    await admin.query(`DROP DATABASE IF EXISTS ${making} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${making}`);
    await migrate(urlOf(making));
    await admin.query(`ALTER DATABASE ${making} RENAME TO ${template}`);
    return template;
  } finally {
    await admin.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
  }
}

async function dropDatabase(name: string): Promise<void> {
  const admin = await connect(adminUrl());
  await admin.query(`DROP DATABASE ${name} WITH (FORCE)`).finally(() => admin.end());
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  // A server that is stopped under a test breaks idle connections, which is that test's business.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function runPrefix(): string {
  return `parley_test_${process.env['TEST_POSTGRES_RUN'] ?? 'single'}`;
}

function adminUrl(): string {
  const url = process.env['TEST_POSTGRES_URL'];
  if (url === undefined) throw new Error('no test Postgres: run this spec in the project "stores"');
  return url;
}

function urlOf(database: string): string {
  const url = new URL(adminUrl());
  url.pathname = `/${database}`;
  return url.toString();
}

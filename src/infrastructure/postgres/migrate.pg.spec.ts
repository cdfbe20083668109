import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { StoreUnavailable } from '../../application/ports/store-unavailable';
import { createProjectionTables, migrate } from './migrate';

const adminUrl = (): string => process.env['TEST_POSTGRES_URL'] as string;

describe('migrate', () => {
  const name = `migrate_${randomUUID().replaceAll('-', '')}`;
  const url = (): string => Object.assign(new URL(adminUrl()), { pathname: `/${name}` }).toString();
  let client: Client;

  const withAdmin = async (sql: string): Promise<void> => {
    const admin = new Client(adminUrl());
    await admin.connect();
    await admin.query(sql);
    await admin.end();
  };
  const tables = async (schema: string): Promise<string[]> =>
    (
      await client.query<{ tablename: string }>(
        'SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1',
        [schema],
      )
    ).rows.map((row) => row.tablename);

  beforeAll(async () => {
    await withAdmin(`CREATE DATABASE ${name}`);
    client = new Client(url());
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await withAdmin(`DROP DATABASE ${name} WITH (FORCE)`);
  });

  it('applies everything when several nodes start at once', async () => {
    await Promise.all([migrate(url()), migrate(url()), migrate(url())]);
    expect(await tables('read')).toEqual(expect.arrayContaining(['checkpoints', 'inbox_conversations']));
    expect(await tables('app')).toEqual(expect.arrayContaining(['hidden_messages', 'schema_migrations']));
  });

  it('changes nothing the second time', async () => {
    await client.query(`INSERT INTO read.leases VALUES ('kept', 'me', 1, now())`);
    await migrate(url());
    expect((await client.query('SELECT 1 FROM read.leases')).rowCount).toBe(1);
  });

  it('makes dropped read models again, empty, and leaves the rest alone', async () => {
    const before = await tables('read');
    await client.query(`INSERT INTO app.hidden_messages VALUES (gen_random_uuid(), gen_random_uuid(), 1)`);
    await client.query('DROP SCHEMA read CASCADE');
    await createProjectionTables(url());
    expect(await tables('read')).toEqual(before);
    expect((await client.query('SELECT 1 FROM read.leases')).rowCount).toBe(0);
    expect((await client.query('SELECT 1 FROM app.hidden_messages')).rowCount).toBe(1);
  });

  it('makes what of them is missing', async () => {
    await client.query('DROP INDEX read.inbox_members_current; DROP TABLE read.cursors_read');
    await migrate(url());
    const { rowCount } = await client.query(
      `SELECT FROM pg_class WHERE relname IN ('inbox_members_current', 'cursors_read')`,
    );
    expect(rowCount).toBe(2);
  });

  it('does nothing to what is there, so that a node may start beside a projector at work', async () => {
    await client.query(`BEGIN; SELECT FROM read.leases FOR SHARE; UPDATE read.inbox_members SET role = role`);
    try {
      await migrate(url());
    } finally {
      await client.query('ROLLBACK');
    }
  });

  it('lets a projector at work end its transaction before it makes something', async () => {
    await client.query('COMMENT ON SCHEMA read IS NULL');
    await client.query('BEGIN; SELECT FROM read.leases FOR SHARE');
    const migrating = migrate(url());
    const isWaiting = async (): Promise<boolean> =>
      (
        await client.query(
          `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
           WHERE NOT l.granted AND d.datname = current_database()`,
        )
      ).rowCount !== 0;
    while (!(await isWaiting())) await sleep(5);
    await client.query('UPDATE read.inbox_members SET role = role');
    await client.query('COMMIT');
    await migrating;
  });

  it('says that Postgres is not there', async () => {
    await expect(migrate('postgres://nobody@127.0.0.1:1/none')).rejects.toBeInstanceOf(StoreUnavailable);
  });
});

import { randomUUID } from 'node:crypto';
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

  it('says that Postgres is not there', async () => {
    await expect(migrate('postgres://nobody@127.0.0.1:1/none')).rejects.toBeInstanceOf(StoreUnavailable);
  });
});

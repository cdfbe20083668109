import { createTestDatabase } from '../support/postgres';

describe('createTestDatabase', () => {
  it('gives every caller a migrated database of its own', async () => {
    const [one, other] = await Promise.all([createTestDatabase(), createTestDatabase()]);
    const schemas = "SELECT nspname FROM pg_namespace WHERE nspname = 'app'";
    expect(await one.database.query(schemas)).toEqual([{ nspname: 'app' }]);
    await one.database.query('CREATE TABLE mine (id int)');
    await expect(other.database.query('SELECT * FROM mine')).rejects.toMatchObject({ code: '42P01' });
    await Promise.all([one.drop(), other.drop()]);
  });
});

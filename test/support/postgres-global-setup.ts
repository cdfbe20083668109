import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../embedded/postgres';
import { announceEventStore } from './event-store-under-test';

declare global {
  /** Hand-over from Jest's global set-up to its tear-down, which run in one process. */
  var stopTestPostgres: (() => Promise<void>) | undefined;
}

/** One Postgres for all workers of a run; one that the caller names is used as it is and left running. */
export default async function startTestPostgres(): Promise<void> {
  // Databases of this run carry it in their names, beside those of other runs on the same server.
  process.env['TEST_POSTGRES_RUN'] = randomBytes(5).toString('hex');
  announceEventStore();
  const given = process.env['TEST_DATABASE_URL'] ?? process.env['DATABASE_URL'];
  if (given !== undefined && given !== '') {
    process.env['TEST_POSTGRES_URL'] = given;
    return;
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-test-postgres-'));
  const log = (line: string): void => {
    if (process.env['TEST_POSTGRES_LOG'] === 'on') process.stderr.write(`postgres: ${line}\n`);
  };
  const postgres = await startEmbeddedPostgres({ dataDir, log, durable: false });
  process.env['TEST_POSTGRES_URL'] = postgres.url;
  globalThis.stopTestPostgres = async () => {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
}

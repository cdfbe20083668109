import { startEmbeddedPostgres } from '../../embedded/postgres';

/** Starts a Postgres in the folder given as argument and dies without stopping it. */
async function abandonPostgres(dataDir: string): Promise<void> {
  await startEmbeddedPostgres({ dataDir, log: () => undefined, durable: false });
  process.kill(process.pid, 'SIGKILL');
}

void abandonPostgres(process.argv[2] as string);

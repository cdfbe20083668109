import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../embedded/postgres';
import { BACKGROUND_NICENESS } from '../../src/kernel/background';
import { exitOf, startTypeScript } from '../support/typescript-child';

/** A dead process whose parent has not asked for its exit code is still listed, as a zombie. */
async function isRunning(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return state !== '' && !state.includes(') Z ');
}

describe('startEmbeddedPostgres', () => {
  let dataDir: string;
  let running: EmbeddedPostgres | undefined;
  const logged: string[] = [];
  const start = async (): Promise<EmbeddedPostgres> => {
    running = await startEmbeddedPostgres({ dataDir, log: (line) => logged.push(line), durable: false });
    return running;
  };
  const query = async (url: string, text: string): Promise<readonly Record<string, unknown>[]> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    return client
      .query<Record<string, unknown>>(text)
      .then(({ rows }) => rows)
      .finally(() => client.end());
  };
  const postmasterPid = async (): Promise<number> =>
    Number.parseInt(await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8'), 10);

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'parley-postgres-'));
    logged.length = 0;
  });

  afterEach(async () => {
    await running?.stop();
    running = undefined;
    await rm(dataDir, { recursive: true, force: true });
  });

  it('serves the same data at the same address after a stop', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 7 AS seven');
    await first.stop();
    const second = await start();
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'SELECT seven FROM kept')).toEqual([{ seven: 7 }]);
  });

  it('gives way to the threads that answer devices, also with what it starts', async () => {
    const { url } = await start();
    expect(getPriority(await postmasterPid())).toBe(BACKGROUND_NICENESS);
    const client = new Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    expect(getPriority(rows[0]?.pid)).toBe(BACKGROUND_NICENESS);
    await client.end();
  });

  it('keeps its password to itself, and lets nobody in without it', async () => {
    const { url } = await start();
    expect((await stat(join(dataDir, 'password'))).mode & 0o777).toBe(0o600);
    const stranger = new URL(url);
    stranger.password = 'guess';
    await expect(query(stranger.toString(), 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    expect(new URL(url).hostname).toBe('127.0.0.1');
    expect(await query(url, "SELECT current_setting('listen_addresses') AS a")).toEqual([{ a: '127.0.0.1' }]);
  });

  it('orders by code point and knows upper and lower case of all scripts', async () => {
    const { url } = await start();
    expect(await query(url, "SELECT lower('ÄÖÜЖ') AS lower, 'Z' < 'a' AS ordered")).toEqual([
      { lower: 'äöüж', ordered: true },
    ]);
  });

  it('starts again by itself on the same port when it is killed', async () => {
    const { url } = await start();
    const killed = await postmasterPid();
    process.kill(killed, 'SIGKILL');
    const deadline = Date.now() + 20_000;
    let answer: unknown;
    while (answer === undefined && Date.now() < deadline) {
      await sleep(50);
      answer = await query(url, 'SELECT 1 AS one').catch(() => undefined);
    }
    expect(answer).toEqual([{ one: 1 }]);
    expect(await postmasterPid()).not.toBe(killed);
    expect(logged.join('\n')).toContain('Postgres ended by itself');
  });

  it('ends the server of a process that was killed, and takes over its data', async () => {
    await (await start()).stop();
    const script = require.resolve('../support/abandon-postgres');
    expect(await exitOf(startTypeScript(script, [dataDir]))).toBe('SIGKILL');
    const orphaned = await postmasterPid();
    expect(await isRunning(orphaned)).toBe(true);
    const { url } = await start();
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await isRunning(orphaned)).toBe(false);
  });

  it('is not stopped by the pid file of a crash whose number another program has now', async () => {
    await (await start()).stop();
    await writeFile(join(dataDir, 'cluster', 'postmaster.pid'), `${process.pid}\n${dataDir}\n0\n1\n`);
    const { url } = await start();
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('makes the cluster anew when its making was interrupted', async () => {
    await (await start()).stop();
    await rm(join(dataDir, 'cluster', 'global'), { recursive: true });
    await rm(join(dataDir, 'cluster.making'), { recursive: true, force: true });
    await rename(join(dataDir, 'cluster'), join(dataDir, 'cluster.making'));
    const { url } = await start();
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { startEmbeddedPostgres } from '../../embedded/postgres';

/** Debian's ejabberd on a PostgreSQL of ours, both children of this process: `node ejabberd-host.js <folder> <port>`. */
const HOST = 'localhost';
const SCHEMA = '/usr/share/ejabberd/sql/pg.sql';
const LIBRARIES = '/usr/lib/x86_64-linux-gnu';

interface Place {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Messages of everybody are archived; nothing that would slow it down beside: no TLS, no shaper, no offline store. */
const configuration = (port: number, sql: Place): string => `
hosts: [${HOST}]
loglevel: error
auth_method: sql
auth_password_format: plain
sql_type: pgsql
sql_server: "127.0.0.1"
sql_port: ${sql.port}
sql_database: "${sql.database}"
sql_username: "${sql.user}"
sql_password: "${sql.password}"
default_db: sql
default_ram_db: mnesia
listen:
  - port: ${port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    shaper: none
    access: all
    starttls: false
modules:
  mod_mam:
    db_type: sql
    default: always
    assume_mam_usage: true
    cache_size: 10000
`;

async function postgres(
  folder: string,
): Promise<{ place: Place; client: Client; stop: () => Promise<void> }> {
  const started = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), log: () => undefined });
  const url = new URL(started.url);
  const client = new Client({ connectionString: started.url });
  await client.connect();
  await client.query(await readFile(SCHEMA, 'utf8'));
  const place = {
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
  };
  return { place, client, stop: () => started.stop() };
}

async function main(): Promise<void> {
  const [folder = '', port = ''] = process.argv.slice(2);
  const { place, client, stop } = await postgres(folder);
  const [spool, logs] = [join(folder, 'spool'), join(folder, 'logs')];
  await mkdir(spool);
  await mkdir(logs);
  const file = join(folder, 'ejabberd.yml');
  await writeFile(file, configuration(Number(port), place));
  await chmod(file, 0o600);
  const version = readdirSync(LIBRARIES).find((name) => /^ejabberd-[\d.]+$/.test(name)) ?? '';
  const options = [
    '+K',
    'true',
    '+P',
    '250000',
    '-noinput',
    '-mnesia',
    'dir',
    `"${spool}"`,
    '-s',
    'ejabberd',
  ];
  const erlang = spawn('erl', options, {
    env: {
      ...process.env,
      ERL_LIBS: LIBRARIES,
      EJABBERD_CONFIG_PATH: file,
      EJABBERD_LOG_PATH: join(logs, 'ejabberd.log'),
      EJABBERD_PID_PATH: join(folder, 'ejabberd.pid'),
      HOME: folder,
      SPOOL_DIR: spool,
      CONTRIB_MODULES_PATH: folder,
      LANG: 'C.UTF-8',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  erlang.once('exit', (code) => process.send?.({ ended: code, version }));
  process.on('message', (names: readonly string[]) => {
    void client
      .query('INSERT INTO users (username, password) SELECT name, name FROM unnest($1::text[]) AS name', [
        names,
      ])
      .then(() => process.send?.({ accounts: names.length }));
  });
  process.on('SIGTERM', () => {
    erlang.kill('SIGKILL');
    void client
      .end()
      .then(stop)
      .then(() => process.exit(0));
  });
  process.send?.({ started: true });
}

void main();

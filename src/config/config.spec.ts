import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_LIMITS } from '../protocol/limits';
import { envExample } from './env-example';
import { ConfigurationError, loadConfig } from './load-config';
import { SETTINGS } from './settings';

const folders: string[] = [];

function fresh(): string {
  const folder = mkdtempSync(join(tmpdir(), 'parley-config-'));
  folders.push(folder);
  return folder;
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function sentencesOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig({ DATA_DIR: fresh(), ...environment });
  } catch (error) {
    if (error instanceof ConfigurationError) return error.sentences;
    throw error;
  }
  return [];
}

describe('configuration', () => {
  it('has a default for everything', () => {
    const config = loadConfig({ DATA_DIR: fresh() });
    expect(config.port).toBe(3000);
    expect([...config.roles]).toEqual(['gateway', 'projector', 'worker']);
    expect(config.editWindowMs).toBe(5 * 60_000);
    expect(config.limits).toEqual(DEFAULT_LIMITS);
    expect(config.rateLimits).toBe(true);
  });

  it.each([
    ['PORT', '70000', 'PORT must be a whole number from 0 to 65535, not "70000".'],
    ['PORT', '0x10', 'PORT must be a whole number from 0 to 65535, not "0x10".'],
    ['ROLES', 'gateway,cook', 'ROLES must be one of gateway, projector, worker, relay, not "gateway,cook".'],
    ['RATE_LIMITS', 'no', 'RATE_LIMITS must be one of on, off, not "no".'],
    ['JWT_SECRET', 'short', 'JWT_SECRET must be at least 32 bytes long, not the value given.'],
    [
      'DATABASE_URL',
      'mysql://x',
      'DATABASE_URL must be a URL that begins with postgres:// or postgresql://, not "mysql://x".',
    ],
  ])('stops on a wrong %s and names it', (name, value, sentence) => {
    expect(sentencesOf({ [name]: value })).toEqual([sentence]);
  });

  it('stops on a relay that nobody could hear', () => {
    expect(sentencesOf({ ROLES: 'relay' })).toEqual([
      'REDIS_URL must be set with the role relay: it is how a relay reaches the gateways.',
    ]);
  });

  it('takes a Redis when all nodes have one key for tokens', () => {
    const url = 'redis://cache:6379';
    const secret = 'a secret of at least thirty-two bytes';
    const given = loadConfig({ DATA_DIR: fresh(), REDIS_URL: url, JWT_SECRET: secret });
    expect(given.redisUrl).toBe(url);
    expect(sentencesOf({ REDIS_URL: url })).toEqual([
      'JWT_SECRET must be set with REDIS_URL: each node has to take the tokens of all.',
    ]);
  });

  it('takes an event store elsewhere or a door to the one inside, not both', () => {
    const url = 'esdb+discover://cluster:2113';
    expect(loadConfig({ DATA_DIR: fresh(), EVENTSTORE_URL: url }).eventStoreUrls).toEqual([url]);
    expect(loadConfig({ DATA_DIR: fresh(), EVENTSTORE_GRPC_PORT: '2113' }).eventStoreGrpcPort).toBe(2113);
    expect(sentencesOf({ EVENTSTORE_URL: url, EVENTSTORE_GRPC_PORT: '2113' })).toEqual([
      'EVENTSTORE_GRPC_PORT must be absent with EVENTSTORE_URL: there is no embedded engine to open.',
    ]);
  });

  it('takes several event stores, with spaces or lines between', () => {
    const urls = ['esdb://a:2113,b:2113?tls=true', 'esdb+discover://c:2113'];
    for (const text of [urls.join(' '), `${urls.join('\n')}\n`]) {
      expect(loadConfig({ DATA_DIR: fresh(), EVENTSTORE_URL: text }).eventStoreUrls).toEqual(urls);
    }
    expect(sentencesOf({ EVENTSTORE_URL: 'esdb://a:2113 b:2113' })).toEqual([
      expect.stringContaining('EVENTSTORE_URL must be a URL that begins with esdb://'),
    ]);
  });

  it('opens the door of the event store to the network only with a certificate and accounts', () => {
    const host = { EVENTSTORE_GRPC_HOST: '0.0.0.0' };
    const certificate = { EVENTSTORE_GRPC_CERT_FILE: '/c.pem', EVENTSTORE_GRPC_KEY_FILE: '/k.pem' };
    const users = { EVENTSTORE_GRPC_USERS_FILE: '/u.json' };
    const open =
      'EVENTSTORE_GRPC_HOST must be a loopback address without EVENTSTORE_GRPC_CERT_FILE and EVENTSTORE_GRPC_USERS_FILE.';
    expect(sentencesOf(host)).toEqual([open]);
    expect(sentencesOf({ ...host, ...certificate })).toEqual([open]);
    expect(sentencesOf({ ...host, ...users })).toEqual([open]);
    expect(sentencesOf({ EVENTSTORE_GRPC_CERT_FILE: '/c.pem' })).toEqual([
      'EVENTSTORE_GRPC_CERT_FILE and EVENTSTORE_GRPC_KEY_FILE must be set both or not at all.',
    ]);
    expect(
      loadConfig({ DATA_DIR: fresh(), ...host, ...certificate, ...users }).eventStoreGrpcProtection,
    ).toEqual({
      host: '0.0.0.0',
      certificateFile: '/c.pem',
      keyFile: '/k.pem',
      usersFile: '/u.json',
    });
  });

  it('takes a word before stream names for an event store that is shared', () => {
    const url = 'esdb://cluster:2113';
    const given = loadConfig({
      DATA_DIR: fresh(),
      EVENTSTORE_URL: url,
      EVENTSTORE_STREAM_PREFIX: 'Stage_1-b',
    });
    expect(given.eventStoreStreamPrefix).toBe('Stage_1-b');
    expect(sentencesOf({ EVENTSTORE_STREAM_PREFIX: 'stage' })).toEqual([
      'EVENTSTORE_STREAM_PREFIX must be absent without EVENTSTORE_URL: nobody shares the engine.',
    ]);
    expect(sentencesOf({ EVENTSTORE_URL: url, EVENTSTORE_STREAM_PREFIX: 'a.b' })).toEqual([
      'EVENTSTORE_STREAM_PREFIX must be 1 to 64 letters, digits, _ and -, not "a.b".',
    ]);
  });

  it('tells all that is wrong at once', () => {
    expect(sentencesOf({ PORT: 'x', ROLES: 'y', HEARTBEAT_MS: '1' })).toHaveLength(3);
  });

  it('takes an empty variable as absent', () => {
    expect(loadConfig({ DATA_DIR: fresh(), PORT: '' }).port).toBe(3000);
  });

  it('reads secrets from files, without the line break at their end', () => {
    const dataDir = fresh();
    const file = join(dataDir, 'secret');
    writeFileSync(file, 'a secret of at least thirty-two bytes\n');
    expect(loadConfig({ DATA_DIR: dataDir, JWT_SECRET_FILE: file }).jwtSecret).toBe(
      'a secret of at least thirty-two bytes',
    );
    writeFileSync(file, 'postgres://parley:hunter2@db/parley\n');
    const url = loadConfig({ DATA_DIR: dataDir, DATABASE_URL_FILE: file }).databaseUrl;
    expect(url).toBe('postgres://parley:hunter2@db/parley');
    writeFileSync(file, 'mysql://parley:hunter2@db/parley\n');
    expect(sentencesOf({ DATABASE_URL_FILE: file }).join()).not.toContain('hunter2');
    expect(sentencesOf({ DATABASE_URL_FILE: file, DATABASE_URL: 'postgres://x' })).toEqual([
      'DATABASE_URL and DATABASE_URL_FILE must not both be set.',
    ]);
    expect(sentencesOf({ JWT_SECRET_FILE: `${file}.not-there` })).toEqual([
      `JWT_SECRET cannot be read from the file "${file}.not-there" (ENOENT).`,
    ]);
    expect(loadConfig({ DATA_DIR: dataDir, PORT_FILE: file }).port).toBe(3000);
  });

  it('makes the JWT secret once, for its owner alone, and keeps it', () => {
    const dataDir = fresh();
    const first = loadConfig({ DATA_DIR: dataDir }).jwtSecret;
    expect(first.length).toBeGreaterThanOrEqual(32);
    expect(loadConfig({ DATA_DIR: dataDir }).jwtSecret).toBe(first);
    expect(statSync(join(dataDir, 'jwt-secret')).mode & 0o077).toBe(0);
    expect(loadConfig({ DATA_DIR: fresh() }).jwtSecret).not.toBe(first);
  });

  it('is listed whole in .env.example', () => {
    expect(readFileSync(join(__dirname, '../../.env.example'), 'utf8')).toBe(envExample());
    expect(new Set(Object.values(SETTINGS).map(({ name }) => name)).size).toBe(Object.keys(SETTINGS).length);
  });
});

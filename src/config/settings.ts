import { resolve } from 'node:path';
import { DEFAULT_LIMITS, HEARTBEAT_MS, AUTH_TIMEOUT_MS } from '../protocol/limits';
import { parseAddressSet } from './address-set';
import type { NodeRole } from './config';
import { parseRedisUrl } from './redis-url';

/** One environment variable: how it is read, and what it is when absent. `parse` throws a sentence's end. */
export interface Setting<T> {
  readonly name: string;
  /** As it would be written in the environment; undefined: absent means something of its own. */
  readonly fallback: string | undefined;
  readonly help: string;
  /** It holds a secret: `<name>_FILE` may name a file with it instead, as orchestrators mount them. */
  readonly secret?: true;
  readonly parse: (text: string) => T;
}

const setting = <T>(
  name: string,
  fallback: string | undefined,
  help: string,
  parse: (text: string) => T,
): Setting<T> => ({ name, fallback, help, parse });

const secretSetting = <T>(name: string, help: string, parse: (text: string) => T): Setting<T> => ({
  ...setting(name, undefined, help, parse),
  secret: true,
});

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new Error(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

function oneOf<T extends string>(...values: readonly T[]): (text: string) => T {
  return (text) => {
    const found = values.find((value) => value === text);
    if (found === undefined) throw new Error(`must be one of ${values.join(', ')}`);
    return found;
  };
}

function url(...protocols: readonly string[]): (text: string) => string {
  return (text) => {
    const scheme = /^([a-z+]+):\/\/./.exec(text)?.[1];
    if (scheme === undefined || !protocols.includes(scheme)) {
      throw new Error(`must be a URL that begins with ${protocols.map((name) => `${name}://`).join(' or ')}`);
    }
    return text;
  };
}

function redis(text: string): string {
  parseRedisUrl(text);
  return text;
}

/** One or several, with spaces between them. */
function urls(...protocols: readonly string[]): (text: string) => readonly string[] {
  const parse = url(...protocols);
  return (text) => text.trim().split(/\s+/).map(parse);
}

function seconds(min: number, max: number): (text: string) => number {
  const parse = integer(min, max);
  return (text) => parse(text) * 1_000;
}

/** Those that one machine alone needs. */
const ROLES_DEFAULT = 'gateway,projector,worker';
const ROLES: readonly NodeRole[] = ['gateway', 'projector', 'worker', 'relay'];

function roles(text: string): ReadonlySet<NodeRole> {
  return new Set(text.split(',').map((name) => oneOf(...ROLES)(name.trim())));
}

function secret(text: string): string {
  if (Buffer.byteLength(text) < 32) throw new Error('must be at least 32 bytes long');
  return text;
}

function word(text: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(text)) throw new Error('must be 1 to 64 letters, digits, _ and -');
  return text;
}

const YEAR_SECONDS = 31_536_000;

/** Every variable Parley reads, in the order of `.env.example`; a spec holds the two equal. */
export const SETTINGS = {
  port: setting('PORT', '3000', 'TCP port of REST and WebSocket; 0 picks a free one', integer(0, 65_535)),
  host: setting('HOST', '0.0.0.0', 'address to listen on', String),
  dataDir: setting('DATA_DIR', './.data', 'where the embedded stores and the JWT secret live', (text) =>
    resolve(text),
  ),
  eventStoreUrls: secretSetting(
    'EVENTSTORE_URL',
    'EventStoreDB connection string, or several with spaces between: shards; absent: the embedded engine',
    urls('esdb', 'esdb+discover', 'kurrentdb', 'kurrentdb+discover'),
  ),
  eventStoreStreamPrefix: setting(
    'EVENTSTORE_STREAM_PREFIX',
    undefined,
    'word before all stream names at EVENTSTORE_URL, where several installations share it; absent: plain names',
    word,
  ),
  databaseUrl: secretSetting(
    'DATABASE_URL',
    'PostgreSQL connection string; absent: an embedded PostgreSQL',
    url('postgres', 'postgresql'),
  ),
  redisUrl: secretSetting(
    'REDIS_URL',
    'Redis connection string, or several of a Redis Cluster with commas between; absent: this node knows of no others',
    redis,
  ),
  roles: setting(
    'ROLES',
    ROLES_DEFAULT,
    'what this process does: any of gateway, projector, worker, relay',
    roles,
  ),
  relayAbove: setting(
    'RELAY_ABOVE_EVENTS_PER_SECOND',
    '2000',
    'events a second in one shard from which on a relay reads them for all gateways; 0: never',
    integer(0, 1_000_000),
  ),
  eventStoreGrpcPort: setting(
    'EVENTSTORE_GRPC_PORT',
    undefined,
    "port of the embedded engine's gRPC door; absent: closed",
    integer(0, 65_535),
  ),
  eventStoreGrpcHost: setting(
    'EVENTSTORE_GRPC_HOST',
    '127.0.0.1',
    'address of the gRPC door; any but loopback needs the certificate and the users below',
    String,
  ),
  eventStoreGrpcCertFile: setting(
    'EVENTSTORE_GRPC_CERT_FILE',
    undefined,
    "PEM file of the gRPC door's certificate; absent: no TLS",
    (text) => resolve(text),
  ),
  eventStoreGrpcKeyFile: setting(
    'EVENTSTORE_GRPC_KEY_FILE',
    undefined,
    "PEM file of the certificate's key",
    (text) => resolve(text),
  ),
  eventStoreGrpcUsersFile: setting(
    'EVENTSTORE_GRPC_USERS_FILE',
    undefined,
    'JSON file {"<user>": {"password": "…", "groups": ["$admins"]}}; absent: whoever reaches the door may do everything',
    (text) => resolve(text),
  ),
  trustedProxies: setting(
    'TRUSTED_PROXIES',
    undefined,
    'addresses of the balancers before this node, whose X-Forwarded-For is believed: addresses, networks, loopback, private; absent: nobody',
    parseAddressSet,
  ),
  tracingCallers: setting(
    'TRACING_CALLERS',
    undefined,
    'addresses of services whose traceparent decides what is traced, written likewise; absent: nobody',
    parseAddressSet,
  ),
  rateLimits: setting(
    'RATE_LIMITS',
    'on',
    'off only for load tests: nothing protects the node then',
    (text) => oneOf('on', 'off')(text) === 'on',
  ),
  jwtSecret: secretSetting(
    'JWT_SECRET',
    'key of access tokens, 32 bytes at least; absent: made once and kept under DATA_DIR',
    secret,
  ),
  jwtSecretSecond: secretSetting(
    'JWT_SECRET_SECOND',
    'a second key whose access tokens are taken, too: while the first is being changed',
    secret,
  ),
  accessTokenTtlMs: setting(
    'ACCESS_TOKEN_TTL_SECONDS',
    '900',
    'life of an access token',
    seconds(1, YEAR_SECONDS),
  ),
  refreshTokenTtlMs: setting(
    'REFRESH_TOKEN_TTL_SECONDS',
    '2592000',
    'life of a refresh token that is not used',
    seconds(1, YEAR_SECONDS),
  ),
  editWindowMs: setting(
    'EDIT_WINDOW_SECONDS',
    '300',
    'how long after sending a message may be edited',
    seconds(0, YEAR_SECONDS),
  ),
  heartbeatMs: setting(
    'HEARTBEAT_MS',
    String(HEARTBEAT_MS),
    'interval of WebSocket pings',
    integer(100, 600_000),
  ),
  authTimeoutMs: setting(
    'AUTH_TIMEOUT_MS',
    String(AUTH_TIMEOUT_MS),
    'how long a socket may stay without `auth`',
    integer(100, 60_000),
  ),
  tracesEndpoint: setting(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    undefined,
    'OpenTelemetry collector (OTLP over HTTP) for traces; absent: none. The other OTEL_ variables hold, too',
    url('http', 'https'),
  ),
  logLevel: setting(
    'LOG_LEVEL',
    'info',
    'fatal, error, warn, info, debug, trace or silent',
    oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  ),
  frameBytesMax: setting(
    'FRAME_BYTES_MAX',
    String(DEFAULT_LIMITS.frameBytesMax),
    'largest frame a client may send, in bytes',
    integer(1_024, 1_048_576),
  ),
  syncFrameBytesMax: setting(
    'SYNC_FRAME_BYTES_MAX',
    String(DEFAULT_LIMITS.syncFrameBytesMax),
    'largest `sync` frame, in bytes',
    integer(1_024, 16_777_216),
  ),
  bodyBytesMax: setting(
    'BODY_BYTES_MAX',
    String(DEFAULT_LIMITS.bodyBytesMax),
    'largest text of a message, in bytes of UTF-8',
    integer(1, 16_384),
  ),
  membersMax: setting(
    'MEMBERS_MAX',
    String(DEFAULT_LIMITS.membersMax),
    'most members of a group, up to 10000; above 1000 live events go only to devices that focus it',
    integer(2, 10_000),
  ),
  syncCursorsMax: setting(
    'SYNC_CURSORS_MAX',
    String(DEFAULT_LIMITS.syncCursorsMax),
    'most cursors in one `sync`',
    integer(1, 100_000),
  ),
  presenceWatchMax: setting(
    'PRESENCE_WATCH_MAX',
    String(DEFAULT_LIMITS.presenceWatchMax),
    'most users one socket may watch',
    integer(1, 10_000),
  ),
  messagesPerSecond: setting(
    'MESSAGES_PER_SECOND',
    String(DEFAULT_LIMITS.messagesPerSecond),
    'messages a user may send per second, lasting',
    integer(1, 100_000),
  ),
  messagesBurst: setting(
    'MESSAGES_BURST',
    String(DEFAULT_LIMITS.messagesBurst),
    'messages a user may send at once',
    integer(1, 100_000),
  ),
  framesPerSecond: setting(
    'FRAMES_PER_SECOND',
    String(DEFAULT_LIMITS.framesPerSecond),
    'other frames a socket may send per second',
    integer(1, 100_000),
  ),
  socketsPerUserMax: setting(
    'SOCKETS_PER_USER_MAX',
    String(DEFAULT_LIMITS.socketsPerUserMax),
    'sockets of one user, over all nodes',
    integer(1, 10_000),
  ),
} as const;

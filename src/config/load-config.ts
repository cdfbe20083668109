import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NOBODY } from './address-set';
import type { Config } from './config';
import { SETTINGS, type Setting } from './settings';

/** The environment says something that cannot be: the start stops with these sentences. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  constructor(readonly sentences: readonly string[]) {
    super(sentences.join('\n'));
  }
}

type Environment = Readonly<Record<string, string | undefined>>;
type Values = { [Key in keyof typeof SETTINGS]: ReturnType<(typeof SETTINGS)[Key]['parse']> | undefined };

const SECRET_FILE = 'jwt-secret';

/** A variable set to nothing, as compose files and shells leave it, counts as absent. */
const valueOf = (environment: Environment, name: string): string | undefined =>
  environment[name] === '' ? undefined : environment[name];

/** The text of a setting, from its variable or from the file that `<name>_FILE` names. @throws Error */
function textOf({ name, fallback, secret }: Setting<unknown>, environment: Environment): string | undefined {
  const given = valueOf(environment, name);
  const file = secret === true ? valueOf(environment, `${name}_FILE`) : undefined;
  if (file === undefined) return given ?? fallback;
  if (given !== undefined) throw new Error(`and ${name}_FILE must not both be set`);
  try {
    // Editors and `echo` end files with a line break, which is no part of a secret.
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`cannot be read from the file ${JSON.stringify(file)} (${code ?? 'unknown error'})`);
  }
}

function readSetting<T>(setting: Setting<T>, environment: Environment, problems: string[]): T | undefined {
  let text: string | undefined;
  try {
    text = textOf(setting, environment);
  } catch (error) {
    problems.push(`${setting.name} ${(error as Error).message}.`);
  }
  if (text === undefined) return undefined;
  try {
    return setting.parse(text);
  } catch (error) {
    const isSecret = setting.secret === true && (!text.includes('://') || text.includes('@'));
    const shown = isSecret ? 'the value given' : JSON.stringify(text);
    problems.push(`${setting.name} ${(error as Error).message}, not ${shown}.`);
    return undefined;
  }
}

/** Made once and kept: tokens stay valid over restarts. */
function keptSecret(dataDir: string): string {
  const file = join(dataDir, SECRET_FILE);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  try {
    // `wx`: of two first starts at once, one writes and both read the same.
    writeFileSync(file, randomBytes(48).toString('base64url'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const secret = readFileSync(file, 'utf8').trim();
  if (secret.length < 32) {
    throw new ConfigurationError([`The file ${file} must hold a secret of at least 32 bytes.`]);
  }
  return secret;
}

/** Nobody is believed anything unless it is said who. */
const peersOf = ({
  trustedProxies,
  tracingCallers,
}: Values): Pick<Config, 'trustedProxies' | 'tracingCallers'> => ({
  trustedProxies: trustedProxies ?? NOBODY,
  tracingCallers: tracingCallers ?? NOBODY,
});

function problemsOfRedis({ redisUrl, jwtSecret, roles }: Values): readonly string[] {
  if (redisUrl !== undefined && jwtSecret === undefined) {
    return ['JWT_SECRET must be set with REDIS_URL: each node has to take the tokens of all.'];
  }
  return redisUrl === undefined && roles?.has('relay') === true
    ? ['REDIS_URL must be set with the role relay: it is how a relay reaches the gateways.']
    : [];
}

/**
 * Reads and validates the whole environment once.
 * @throws ConfigurationError naming every variable that is wrong
 */
export function loadConfig(environment: Environment): Config {
  const problems: string[] = [];
  const values = Object.fromEntries(
    Object.entries(SETTINGS).map(([key, setting]) => [
      key,
      readSetting<unknown>(setting, environment, problems),
    ]),
  ) as Values;
  problems.push(...problemsOfRedis(values));
  if (values.eventStoreUrls !== undefined && values.eventStoreGrpcPort !== undefined) {
    problems.push(
      'EVENTSTORE_GRPC_PORT must be absent with EVENTSTORE_URL: there is no embedded engine to open.',
    );
  }
  if (values.eventStoreUrls === undefined && values.eventStoreStreamPrefix !== undefined) {
    problems.push(
      'EVENTSTORE_STREAM_PREFIX must be absent without EVENTSTORE_URL: nobody shares the engine.',
    );
  }
  const { eventStoreGrpcCertFile: certificateFile, eventStoreGrpcKeyFile: keyFile } = values;
  const { eventStoreGrpcUsersFile: usersFile, eventStoreGrpcHost: grpcHost = '' } = values;
  if ((certificateFile === undefined) !== (keyFile === undefined)) {
    problems.push('EVENTSTORE_GRPC_CERT_FILE and EVENTSTORE_GRPC_KEY_FILE must be set both or not at all.');
  }
  const isProtected = certificateFile !== undefined && usersFile !== undefined;
  if (!isProtected && !['127.0.0.1', '::1', 'localhost'].includes(grpcHost)) {
    problems.push(
      'EVENTSTORE_GRPC_HOST must be a loopback address without EVENTSTORE_GRPC_CERT_FILE and EVENTSTORE_GRPC_USERS_FILE.',
    );
  }
  if (problems.length > 0) throw new ConfigurationError(problems);
  const known = values as { [Key in keyof Values]: NonNullable<Values[Key]> };
  return {
    port: known.port,
    host: known.host,
    dataDir: known.dataDir,
    eventStoreUrls: values.eventStoreUrls,
    eventStoreStreamPrefix: values.eventStoreStreamPrefix,
    databaseUrl: values.databaseUrl,
    redisUrl: values.redisUrl,
    roles: known.roles,
    relayAbove: known.relayAbove,
    eventStoreGrpcPort: values.eventStoreGrpcPort,
    eventStoreGrpcProtection: { host: grpcHost, certificateFile, keyFile, usersFile },
    ...peersOf(values),
    rateLimits: known.rateLimits,
    jwtSecretSecond: values.jwtSecretSecond,
    jwtSecret: values.jwtSecret ?? keptSecret(known.dataDir),
    accessTokenTtlMs: known.accessTokenTtlMs,
    refreshTokenTtlMs: known.refreshTokenTtlMs,
    editWindowMs: known.editWindowMs,
    heartbeatMs: known.heartbeatMs,
    authTimeoutMs: known.authTimeoutMs,
    tracesEndpoint: values.tracesEndpoint,
    logLevel: known.logLevel,
    limits: {
      frameBytesMax: known.frameBytesMax,
      syncFrameBytesMax: known.syncFrameBytesMax,
      bodyBytesMax: known.bodyBytesMax,
      membersMax: known.membersMax,
      syncCursorsMax: known.syncCursorsMax,
      presenceWatchMax: known.presenceWatchMax,
      messagesPerSecond: known.messagesPerSecond,
      messagesBurst: known.messagesBurst,
      framesPerSecond: known.framesPerSecond,
      socketsPerUserMax: known.socketsPerUserMax,
    },
  };
}

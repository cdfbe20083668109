import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Params } from 'nestjs-pino';
import type { LoggerOptions } from 'pino';
import type { Options as HttpOptions } from 'pino-http';
import type { Config } from '../config/config';
import { uuidv7 } from '../kernel/uuid';
import { describeError } from './describe-error';

/** What must never reach a log, wherever in a logged object it turns up (one and two levels deep). */
const SECRET_FIELDS = [
  'password',
  'currentPassword',
  'newPassword',
  'passwordHash',
  'token',
  'accessToken',
  'refreshToken',
  'authorization',
  'cookie',
  'jwtSecret',
  'content',
  'body',
  'ciphertext',
];

/** Pino's paths for {@link SECRET_FIELDS}, and for the headers that carry credentials. */
export const REDACTED_PATHS: readonly string[] = [
  ...SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
  'req.headers.authorization',
  'req.headers.cookie',
  'res.headers["set-cookie"]',
];

export const REDACTED = '[redacted]';

/** Probes come every few seconds and say nothing that a metric does not. */
export const QUIET_PATHS = /^\/(health|metrics)\b/;

/** A request as our edge knows it: with the one who makes it, once the token has been checked. */
type KnownRequest = IncomingMessage & {
  caller?: { readonly userId: string };
  traceId?: string;
};

const CONVERSATION_PATH = /^\/api\/v1\/conversations\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b/;

const REQUEST_ID = /^[0-9a-f-]{36}$/;

/** The client's `X-Request-Id` when it is a UUID, else a new UUIDv7: nothing a client writes goes into logs raw. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : uuidv7();
}

/** Options of the process's one logger: JSON lines on stdout, ISO times. */
export function loggerOptions(level: Config['logLevel']): LoggerOptions {
  return {
    level,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    redact: { paths: [...REDACTED_PATHS], censor: REDACTED },
    base: { service: 'parley' },
    serializers: { err: describeError, error: describeError },
  };
}

function requestLevel(_request: IncomingMessage, response: ServerResponse, error?: Error) {
  if (error !== undefined || response.statusCode >= 500) return 'error';
  return response.statusCode >= 400 ? 'info' : 'debug';
}

/** For `LoggerModule.forRootAsync`: one line a request, with id and user, without headers, query or body. */
export function loggingParams(config: Config): Params & { readonly pinoHttp: HttpOptions } {
  return {
    // See ObservabilityModule: nestjs-pino's own middleware would make every promise of the process dearer.
    forRoutes: [],
    pinoHttp: {
      ...loggerOptions(config.logLevel),
      // The edge gives the id before any parser can refuse the request; see src/http/edge.ts.
      // The edge names the request before any parser can refuse it (src/http/edge.ts).
      genReqId: (request) => (typeof request.id === 'string' ? request.id : requestIdOf(request)),
      autoLogging: { ignore: (request) => QUIET_PATHS.test(request.url ?? '') },
      customLogLevel: requestLevel,
      customProps: (request) => {
        const { caller, traceId, url = '' } = request as KnownRequest;
        return { userId: caller?.userId, conversationId: CONVERSATION_PATH.exec(url)?.[1], traceId };
      },
      serializers: {
        error: describeError,
        // pino-http may have serialised it already, with every property it has.
        err: (given: unknown) => describeError(rawOf(given)),
        // A query may hold what people search for, and a header their token: path and method are enough.
        req: (request: { id: unknown; method: string; url: string }) => ({
          id: request.id,
          method: request.method,
          path: request.url.split('?', 1)[0]?.slice(0, 256),
        }),
        res: (response: { statusCode: number }) => ({ status: response.statusCode }),
      },
    },
  };
}

const rawOf = (given: unknown): unknown =>
  given instanceof Error ? given : (given as { readonly raw?: unknown } | null)?.raw;

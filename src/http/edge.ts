import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NestExpressApplication } from '@nestjs/platform-express';
import helmet from 'helmet';
import { CONFIG, type Config } from '../config/config';
import { beginRoot } from '../application/ports/tracing';
import { QUIET_PATHS, requestIdOf } from '../observability/logging';
import { Metrics } from '../observability/metrics';
import { answerClientError } from './client-error';
import { setUpDocuments } from './openapi';
import { invalidInput } from './problem-exception';
import { addressOf, requestId, traceIdOf, traceparentOf, type EdgeRequest } from './request';
import { webFolder } from './web-page';

/** Room for what JSON puts around, and into, a message that just fits a frame. */
export const BODY_ROOM_BYTES = 65_536;
/** A client that takes longer for its headers, or for its whole request, is cut off: slowness is an attack, too. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Above the idle time of common load balancers, so that it is they who close idle connections. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const CORS_MAX_AGE_SECONDS = 86_400;

/** Browsers of any origin may call: credentials travel in a header that pages set, never in a cookie. */
const CORS = {
  origin: '*',
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'X-Request-Id', 'traceparent'],
  exposedHeaders: ['Retry-After', 'X-Request-Id', 'WWW-Authenticate'],
  credentials: false,
  maxAge: CORS_MAX_AGE_SECONDS,
};

const SECURITY_HEADERS = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'self'"],
      // Swagger UI brings its styles in the page.
      styleSrc: ["'self'", "'unsafe-inline'"],
      imgSrc: ["'self'", 'data:', 'blob:'],
      connectSrc: ["'self'", 'ws:', 'wss:'],
      objectSrc: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
    },
  },
  crossOriginResourcePolicy: { policy: 'cross-origin' },
});

type Next = (error?: unknown) => void;

/** Every request has an id, also one that the next parser refuses; the answer repeats it. */
function nameRequest(request: IncomingMessage, response: ServerResponse, next: Next): void {
  const id = requestIdOf(request);
  request.id = id;
  response.setHeader('X-Request-Id', id);
  next();
}

/** RFC 9110, section 7.2. Node would refuse it by itself, without a problem. */
function refuseNoHost(request: IncomingMessage, _response: ServerResponse, next: Next): void {
  if (request.headers.host !== undefined || request.httpVersion === '1.0') next();
  else next(invalidInput({ field: 'Host', message: 'must be given' }));
}

/** JSON or nothing: forms, files and bodies of unknown type would otherwise count as no body at all. */
function refuseForeignBody(request: IncomingMessage, _response: ServerResponse, next: Next): void {
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (!hasBody || type === 'application/json') next();
  else next(invalidInput({ field: 'Content-Type', message: 'must be application/json' }));
}

function refuseBrokenText(_request: unknown, _response: unknown, body: Buffer): void {
  if (!isUtf8(body)) throw new Error('not UTF-8');
}

function measure(metrics: Metrics, { tracingCallers }: Config) {
  return (request: EdgeRequest, response: ServerResponse, next: Next): void => {
    const start = performance.now();
    const decides = tracingCallers.has(addressOf(request));
    request.isTracingCaller = decides;
    request.step = QUIET_PATHS.test(request.url ?? '')
      ? undefined
      : beginRoot(
          request.method ?? '',
          traceparentOf(request),
          { 'parley.request': requestId(request) },
          decides,
        );
    request.traceId = traceIdOf(request);
    response.on('finish', () => {
      // The template, never the path itself: a label that clients choose would grow without bound.
      const labels = { method: request.method ?? '', route: request.route?.path ?? 'none' };
      endStep(request, response, labels);
      metrics.httpRequestMs.observe({ ...labels, status: response.statusCode }, performance.now() - start);
    });
    next();
  };
}

function endStep(
  { step, caller }: EdgeRequest,
  { statusCode }: ServerResponse,
  { method, route }: { readonly method: string; readonly route: string },
): void {
  step?.rename(`${method} ${route}`);
  step?.end(statusCode >= 500 ? 'internal' : undefined, {
    'http.request.method': method,
    'http.route': route,
    'http.response.status_code': statusCode,
    'enduser.id': caller?.userId,
  });
}

/**
 * For `NestFactory.create`: the edge parses bodies itself, and closing does not wait for clients that keep their
 * connections open.
 */
export const EDGE_OPTIONS = Object.freeze({ bodyParser: false, forceCloseConnections: true });

/**
 * What stands before the controllers: ids, headers, CORS, body parsing within bounds, documents, the page. Call it
 * on an application created with EDGE_OPTIONS, before it is initialised.
 */
export function setUpEdge(app: NestExpressApplication): void {
  const config = app.get<Config>(CONFIG);
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.set('etag', false);
  app.set('trust proxy', (address: string) => config.trustedProxies.has(address));
  app.use(nameRequest, measure(app.get(Metrics), config), SECURITY_HEADERS);
  app.enableCors(CORS);
  app.use(refuseNoHost, refuseForeignBody);
  app.useBodyParser('json', {
    limit: config.limits.frameBytesMax + BODY_ROOM_BYTES,
    // A compressed bomb is never unpacked: bodies are small enough to come plain.
    inflate: false,
    // Values that are no objects are refused by the schemas, with the right field.
    strict: false,
    verify: refuseBrokenText,
  });
  setUpDocuments(app);
  const folder = webFolder();
  if (folder !== undefined)
    app.useStaticAssets(folder, { index: 'index.html', dotfiles: 'ignore', redirect: false });
  const server = app.getHttpServer();
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.on('clientError', answerClientError);
  Object.assign(server, { requireHostHeader: false });
}

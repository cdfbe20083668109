import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from './config/config';
import type { HealthChecks } from './observability/health';
import type { Metrics } from './observability/metrics';

const HEADERS_TIMEOUT_MS = 5_000;
const CONNECTIONS_MAX = 64;

interface OperatorDoor {
  readonly address: AddressInfo;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

const json = (status: number, body: object): Answer => ({
  status,
  contentType: 'application/json; charset=utf-8',
  text: JSON.stringify(body),
});

/**
 * Probes and metrics of a node without the role `gateway`, at the same paths as on one that has it, so that
 * orchestrators and Prometheus need not know what a node does.
 */
export async function openOperatorDoor(
  { host, port }: Config,
  health: HealthChecks,
  metrics: Metrics,
): Promise<OperatorDoor> {
  const server = createServer((request, response) => {
    void answer(request, response, health, metrics);
  });
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(port, host);
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  return { address: server.address() as AddressInfo, close };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  health: HealthChecks,
  metrics: Metrics,
): Promise<void> {
  const { status, contentType, text } = await answerTo(request, health, metrics);
  response.writeHead(status, { 'Content-Type': contentType, 'Cache-Control': 'no-store' });
  response.end(request.method === 'HEAD' ? undefined : text);
}

async function answerTo(
  { method, url = '' }: IncomingMessage,
  health: HealthChecks,
  metrics: Metrics,
): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return json(405, { status: 'method_not_allowed' });
  switch (url.split('?', 1)[0] ?? '') {
    case '/health/live':
      return json(200, { status: 'live' });
    case '/health/ready': {
      const readiness = await health.readiness();
      return json(readiness.status === 'ready' ? 200 : 503, readiness);
    }
    case '/metrics':
      return { status: 200, ...(await metrics.expose()) };
    default:
      return json(404, { status: 'not_found' });
  }
}

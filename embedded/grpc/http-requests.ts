import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Metadata } from '@grpc/grpc-js';
import type { Expected } from '../engine/decisions';
import { EngineError } from '../engine/errors';
import type { EmbeddedEventStore } from '../engine/event-store';
import type { EngineEvent } from '../engine/record';
import type { Access, Caller } from './access';
import { INSTANCE_ID, SERVER_VERSION } from './node-services';

/** Of data and metadata, as over gRPC; a body has little beside them. */
const BODY_BYTES_BESIDE_EVENTS = 65_536;
const EVENTS_CONTENT = 'application/vnd.eventstore.events+json';
const STREAM_PATH = /^\/streams\/([^/]+)\/?$/;
/** As EventStoreDB's headers write what is no revision. */
const EXPECTED_WORDS: Readonly<Record<string, Expected>> = {
  '-1': 'noStream',
  '-2': 'any',
  '-4': 'streamExists',
};

interface Answer {
  readonly status: number;
  /** HTTP/1's phrase; some clients show nothing else. */
  readonly reason: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
}

const NOT_FOUND: Answer = { status: 404, reason: 'Not Found' };
const TOO_LARGE: Answer = { status: 413, reason: 'Maximum Append Size Exceeded' };

/**
 * The few requests that people send a server with curl, and clients that look whether it is there: its
 * health, its version, and appending to a stream. Everything else is gRPC's.
 */
export function httpRequests(store: EmbeddedEventStore, access: Access, bytesMax: number): RequestListener {
  return (request, response) => {
    answerTo(request, store, access, bytesMax).then(
      (answer) => {
        send(response, answer);
      },
      () => {
        send(response, { status: 500, reason: 'Internal Server Error' });
      },
    );
  };
}

function send(response: ServerResponse, { status, reason, headers, json }: Answer): void {
  const body = json === undefined ? '' : JSON.stringify(json);
  const type = json === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' };
  response.writeHead(status, reason, { ...type, ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

async function answerTo(
  request: IncomingMessage,
  store: EmbeddedEventStore,
  access: Access,
  bytesMax: number,
): Promise<Answer> {
  const path = new URL(request.url ?? '/', 'http://door').pathname;
  switch (`${request.method} ${path}`) {
    case 'GET /ping':
      return ok({ msgTypeId: 6, text: 'Ping request successfully handled' });
    case 'GET /health/live':
    case 'HEAD /health/live':
      return { status: 204, reason: 'No Content' };
    case 'GET /info':
      return ok({
        esVersion: SERVER_VERSION,
        state: 'leader',
        features: {},
        authentication: { type: 'internal' },
      });
    case 'GET /gossip':
      return ok(gossip(request, store));
  }
  const [, name] = STREAM_PATH.exec(path) ?? [];
  if (request.method !== 'POST' || name === undefined) return NOT_FOUND;
  // A page that somebody has open in a browser may reach a loopback port, and has nothing to say to a store.
  if (request.headers.origin !== undefined) return { status: 403, reason: 'Not for browsers' };
  const caller = callerOf(request, access);
  if (caller === undefined) {
    return { status: 401, reason: 'Unauthorized', headers: { 'www-authenticate': 'Basic realm="Parley"' } };
  }
  const stream = decoded(name);
  if (stream === undefined) return bad('The stream name is not percent-encoded UTF-8.');
  if (!(await access.allows(caller, 'write', stream))) return { status: 403, reason: 'Access Denied' };
  return append(request, stream, store, bytesMax);
}

/** As EventStoreDB tells it: one leader, at the address at which it was asked. It speaks none of the TCP protocols. */
function gossip({ socket }: IncomingMessage, store: EmbeddedEventStore): object {
  const { localAddress: ip = '127.0.0.1', localPort: port = 0 } = socket;
  const member = {
    instanceId: INSTANCE_ID,
    timeStamp: new Date().toISOString(),
    state: 'Leader',
    isAlive: true,
    ...{ internalTcpIp: ip, internalTcpPort: 0, internalSecureTcpPort: 0 },
    ...{ externalTcpIp: ip, externalTcpPort: 0, externalSecureTcpPort: 0 },
    ...{ internalHttpEndPointIp: ip, internalHttpEndPointPort: port },
    ...{ httpEndPointIp: ip, httpEndPointPort: port },
    ...{ lastCommitPosition: store.head, writerCheckpoint: store.head, chaserCheckpoint: store.head },
    ...{ epochPosition: 0, epochNumber: 0, epochId: store.epoch },
    ...{ nodePriority: 0, isReadOnlyReplica: false, esVersion: SERVER_VERSION },
  };
  return { members: [member], serverIp: ip, serverPort: port };
}

const ok = (json: unknown): Answer => ({ status: 200, reason: 'OK', json });
const bad = (message: string): Answer => ({ status: 400, reason: 'Bad Request', json: { message } });

function callerOf({ headers }: IncomingMessage, access: Access): Caller | undefined {
  const metadata = new Metadata();
  if (headers.authorization !== undefined) metadata.set('authorization', headers.authorization);
  try {
    return access.callerOf(metadata);
  } catch {
    return undefined;
  }
}

function decoded(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

async function append(
  request: IncomingMessage,
  stream: string,
  store: EmbeddedEventStore,
  bytesMax: number,
): Promise<Answer> {
  const body = await bodyOf(request, bytesMax + BODY_BYTES_BESIDE_EVENTS);
  if (body === undefined) return { ...TOO_LARGE, headers: { connection: 'close' } };
  const expected = expectedOf(header(request, 'es-expectedversion') ?? '-2');
  const events = eventsOf(request, body);
  if (expected === undefined || events === undefined)
    return bad('Not understood: ES-ExpectedVersion, or the events.');
  try {
    const outcome = await store.append(stream, events, expected);
    switch (outcome.kind) {
      case 'appended': {
        const location = `/streams/${encodeURIComponent(stream)}/${outcome.revision}`;
        return { status: 201, reason: 'Created', headers: { location } };
      }
      case 'wrongExpectedRevision': {
        const headers = { 'es-currentversion': String(outcome.actual ?? -1) };
        return { status: 400, reason: 'Wrong expected EventNumber', headers };
      }
      case 'streamDeleted':
        return { status: 410, reason: 'Stream deleted' };
    }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    if (error.kind === 'tooLarge') return TOO_LARGE;
    return error.kind === 'invalid' ? bad(error.message) : { status: 503, reason: 'Service Unavailable' };
  }
}

/** @returns undefined: there are more bytes than may be */
async function bodyOf(request: IncomingMessage, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const header = ({ headers }: IncomingMessage, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
};

function expectedOf(text: string): Expected | undefined {
  if (Object.hasOwn(EXPECTED_WORDS, text)) return EXPECTED_WORDS[text];
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** One event whose data is the body, whatever that is, or a list of events. @returns undefined: no such thing */
function eventsOf(request: IncomingMessage, body: Buffer): readonly EngineEvent[] | undefined {
  const content = (header(request, 'content-type') ?? '').split(';')[0]?.trim();
  if (content === EVENTS_CONTENT) return listedEvents(body.toString('utf8'));
  const type = header(request, 'es-eventtype');
  if (type === undefined || type === '') return undefined;
  const id = header(request, 'es-eventid') ?? randomUUID();
  return [{ id, type, isJson: content === 'application/json', data: body, metadata: '' }];
}

function listedEvents(text: string): readonly EngineEvent[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(json)) return undefined;
  const events = json.map((entry: unknown): EngineEvent | undefined => {
    if (typeof entry !== 'object' || entry === null) return undefined;
    const { eventId, eventType, data, metadata } = entry as Readonly<Record<string, unknown>>;
    if (typeof eventId !== 'string' || typeof eventType !== 'string' || data === undefined) return undefined;
    const settings = metadata === undefined ? '' : JSON.stringify(metadata);
    return { id: eventId, type: eventType, isJson: true, data: JSON.stringify(data), metadata: settings };
  });
  return events.every((event) => event !== undefined) ? events : undefined;
}

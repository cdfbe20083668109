import type { IncomingMessage, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { INestApplication } from '@nestjs/common';
import { AbstractWsAdapter } from '@nestjs/websockets';
import { Server as SocketServer, type RawData, type ServerOptions, type WebSocket } from 'ws';
import { uuidv7 } from '../kernel/uuid';
import { CONFIG, type Config } from '../config/config';
import { Authentication } from './authentication';
import { FrameRouter } from './frame-router';
import { BUFFERED_CHUNKS_MAX, FRAGMENTS_MAX, GATEWAY_LIMITS, type GatewayLimits } from './gateway-limits';
import { GatewaySocket } from './gateway-socket';
import { GATEWAYS } from './gateways';
import { BINARY } from './lane';
import { Session } from './session';
import { Sockets } from './sockets';

/** Stands for every socket where Nest wants to bind its handlers to one. */
type Door = object;
type Connect = (door: Door) => void;
type Sessions = SocketServer<typeof GatewaySocket>;

/** `ws` 8.21 and later know these; the published types do not yet. */
interface ReceiverBounds {
  readonly maxFragments: number;
  readonly maxBufferedChunks: number;
  readonly closeTimeout: number;
}

const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;
const BEARER = /^Bearer +(\S{1,8192}) *$/i;

// Shared by all sockets: an idle one owns no closures.
const sessionOf = (socket: WebSocket): Session | undefined =>
  socket instanceof GatewaySocket ? socket.session : undefined;
function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  sessionOf(this)?.received(isBinary ? BINARY : (data as Buffer));
}
function onPing(this: WebSocket): void {
  sessionOf(this)?.pinged();
}
function onClose(this: WebSocket, code: number): void {
  sessionOf(this)?.closed(code);
}
function onError(): void {
  // `ws` closes the socket itself, and `close` follows; without a listener the process would end.
}

function refuse(socket: Duplex, status: string): void {
  socket.on('error', onError);
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

/** The token and the device of an upgrade that brings its authentication along; undefined: `auth` will come. */
function credentialsOf(
  request: IncomingMessage,
  query: string,
): { token: string; deviceId: string } | undefined {
  const token = BEARER.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) return undefined;
  const header = request.headers['x-device-id'];
  const named =
    new URLSearchParams(query).get('deviceId') ?? (typeof header === 'string' ? header : undefined);
  return { token, deviceId: named ?? uuidv7() };
}

/**
 * Nest's gateways over `ws`, on the port of the HTTP server. Nest's own adapter handles the frames of one socket
 * concurrently, swallows what it cannot parse, and binds every handler to every socket. Here each socket has a
 * lane, every frame goes through the router, which calls the gateways' methods itself; to Nest one door stands for
 * all sockets, so that an idle one costs nothing of Nest's.
 */
export class ParleyWsAdapter extends AbstractWsAdapter {
  private readonly door: Door = {};
  private readonly sockets: Sockets;
  private readonly router: FrameRouter;
  private readonly authentication: Authentication;
  private readonly config: Config;
  private readonly limits: GatewayLimits;
  private server: Sessions | undefined;
  private path = '';

  constructor(app: INestApplication) {
    super(app);
    this.sockets = app.get(Sockets);
    this.router = app.get(FrameRouter);
    this.authentication = app.get(Authentication);
    this.config = app.get<Config>(CONFIG);
    this.limits = app.get<GatewayLimits>(GATEWAY_LIMITS);
    for (const gateway of GATEWAYS) this.router.adopt(app.get<object>(gateway));
  }

  /** One server for all gateways: they share a path and the port of HTTP. */
  create(_port: number, { path = '/ws' }: { path?: string } = {}): Sessions {
    if (this.server !== undefined) throw new Error(`all gateways must share the path ${this.path}`);
    const options: ServerOptions<typeof GatewaySocket> & ReceiverBounds = {
      noServer: true,
      WebSocket: GatewaySocket,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: this.config.limits.syncFrameBytesMax,
      maxFragments: FRAGMENTS_MAX,
      maxBufferedChunks: BUFFERED_CHUNKS_MAX,
      closeTimeout: this.limits.closeTimeoutMs,
    };
    const server = new SocketServer<typeof GatewaySocket>(options);
    this.path = path;
    this.server = server;
    (this.httpServer as Server).on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      // HTTP and TLS hand over nothing else; what is no socket cannot be looked after.
      if (socket instanceof Socket) this.upgrade(server, request, socket, head);
      else socket.destroy();
    });
    return server;
  }

  override bindClientConnect(_server: Sessions, callback: Connect): void {
    callback(this.door);
  }

  /** Sessions are forgotten by {@link Sockets}; Nest has nothing bound to a socket. */
  override bindClientDisconnect(): void {
    return;
  }

  /** The router calls the gateways' methods directly, without Nest's wrapper around them (docs/adr/0043). */
  bindMessageHandlers(): void {
    return;
  }

  override async close(server: Sessions): Promise<void> {
    await this.sockets.drain();
    await super.close(server);
  }

  private upgrade(server: Sessions, request: IncomingMessage, socket: Socket, head: Buffer): void {
    const [path, query = ''] = (request.url ?? '').split('?', 2);
    if (path !== this.path) {
      refuse(socket, '404 Not Found');
    } else if (this.sockets.isDraining) {
      refuse(socket, '503 Service Unavailable');
    } else {
      const credentials = credentialsOf(request, query);
      if (credentials !== undefined && !DEVICE_ID.test(credentials.deviceId))
        refuse(socket, '400 Bad Request');
      else {
        server.handleUpgrade(request, socket, head, (opened) => {
          this.open(opened, socket, credentials);
        });
      }
    }
  }

  private open(opened: GatewaySocket, wire: Socket, credentials: ReturnType<typeof credentialsOf>): void {
    const session = new Session(opened, wire, this.sockets);
    opened.session = session;
    opened.on('message', onMessage);
    opened.on('error', onError);
    opened.on('ping', onPing);
    opened.on('close', onClose);
    this.sockets.add(session);
    if (credentials === undefined) return;
    const { token, deviceId } = credentials;
    session.begin(() => this.authenticate(session, token, deviceId));
  }

  private async authenticate(session: Session, token: string, deviceId: string): Promise<void> {
    try {
      await this.authentication.authenticate(session, token, { deviceId });
    } catch {
      // There is no frame to answer; the device comes back, and the log of the store has the cause.
      session.close('internalError');
    }
  }
}

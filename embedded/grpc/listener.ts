import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server as SocketServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ServerCredentials, type Server } from '@grpc/grpc-js';

/** The first bytes of every HTTP/2 connection are these (RFC 9113, 3.4); no HTTP/1 method begins so. */
const HTTP2_BEGINS = 'PRI';
/** A connection that says nothing is nobody's. */
const FIRST_BYTES_MS = 20_000;
/** Of one HTTP/1 request until its end; the few that there are take milliseconds. */
const REQUEST_MS = 30_000;

export interface Listening {
  readonly port: number;
  /** Takes no more connections and ends those there are. */
  close(): Promise<void>;
}

/**
 * Listens for gRPC and, on the same port as EventStoreDB does, for plain HTTP requests: which of them a
 * connection is for is agreed in the TLS handshake, or seen from its first bytes.
 *
 * @throws Error when the port cannot be had, or the certificate cannot be used
 */
export async function listen(
  grpc: Server,
  answer: RequestListener,
  { host, port, tls }: { host: string; port: number; tls?: { certificate: Buffer; key: Buffer } | undefined },
): Promise<Listening> {
  const http = createHttpServer({ requestTimeout: REQUEST_MS }, answer);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const take = (socket: Socket, isHttp2: boolean): void => {
    if (isHttp2) injector.injectConnection(socket);
    else http.emit('connection', socket);
  };
  const server =
    tls === undefined
      ? createServer({ noDelay: true }, (socket) => {
          byFirstBytes(socket, take);
        })
      : createTlsServer(
          { cert: tls.certificate, key: tls.key, ALPNProtocols: ['h2', 'http/1.1'], noDelay: true },
          (socket) => {
            // A reset of the other side; whoever reads from the socket hears of it as well.
            socket.on('error', () => undefined);
            take(socket, socket.alpnProtocol === 'h2');
          },
        );
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  await bound(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      injector.destroy();
      await closed(server, http, sockets);
    },
  };
}

function byFirstBytes(socket: Socket, take: (socket: Socket, isHttp2: boolean) => void): void {
  const timer = setTimeout(() => socket.destroy(), FIRST_BYTES_MS).unref();
  let seen = Buffer.alloc(0);
  const look = (): void => {
    seen = Buffer.concat([seen, (socket.read() as Buffer | null) ?? seen.subarray(0, 0)]);
    const text = seen.toString('latin1', 0, HTTP2_BEGINS.length);
    // Three bytes tell; a client that sends them one by one is heard when it has sent them.
    if (text.length < HTTP2_BEGINS.length && HTTP2_BEGINS.startsWith(text)) return;
    clearTimeout(timer);
    socket.removeListener('readable', look);
    socket.unshift(seen);
    take(socket, text === HTTP2_BEGINS);
  };
  socket.on('readable', look).once('close', () => {
    clearTimeout(timer);
  });
}

async function bound(server: SocketServer, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

async function closed(server: SocketServer, http: HttpServer, sockets: ReadonlySet<Socket>): Promise<void> {
  http.closeAllConnections();
  await new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
    for (const socket of sockets) socket.destroy();
  });
}

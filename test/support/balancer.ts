import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

interface Backend {
  readonly port: number;
  takesNewcomers: boolean;
}

/**
 * What stands before several gateways: any connection goes to any of them, and one that does not answer is left out
 * for that connection. It knows nothing of who came where before.
 */
export class Balancer {
  private readonly backends = new Map<number, Backend>();
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  private constructor(private readonly random: () => number) {
    this.server = createServer((client) => {
      this.serve(client);
    });
  }

  static async start(random: () => number = Math.random): Promise<Balancer> {
    const made = new Balancer(random);
    made.server.listen(0, '127.0.0.1');
    await once(made.server, 'listening');
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  add(port: number): void {
    this.backends.set(port, { port, takesNewcomers: true });
  }

  /** Whoever is there stays; nobody new is sent there. */
  retire(port: number): void {
    const backend = this.backends.get(port);
    if (backend !== undefined) backend.takesNewcomers = false;
  }

  remove(port: number): void {
    this.backends.delete(port);
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private serve(client: Socket): void {
    this.keep(client);
    const left = [...this.backends.values()].filter(({ takesNewcomers }) => takesNewcomers);
    this.tryNext(client, left);
  }

  private tryNext(client: Socket, left: Backend[]): void {
    const [backend] = left.splice(Math.floor(this.random() * left.length), 1);
    if (backend === undefined) {
      client.destroy();
      return;
    }
    const wire = connect(backend.port, '127.0.0.1');
    this.keep(wire);
    const refused = (): void => {
      this.tryNext(client, left);
    };
    wire.once('error', refused);
    wire.once('connect', () => {
      wire.off('error', refused);
      client.pipe(wire).pipe(client);
      client.once('close', () => wire.destroy());
      wire.once('close', () => client.destroy());
    });
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    // A torn connection is the test's business; unheard, it would end the process.
    socket.on('error', () => undefined);
    socket.once('close', () => this.sockets.delete(socket));
  }
}

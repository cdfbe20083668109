import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Held back in one direction of one connection, by latency or dripping; above it the sender has to wait. */
const HELD_BYTES_MAX = 1_048_576;
/** A drip comes so often, in pieces of at least one byte. */
const DRIP_MS = 20;

type Direction = 'toServer' | 'toClient';

/** What is done about bytes that carry a wanted text on their way to the server. */
export type Interception =
  /** They never arrive; the connection is reset. */
  | 'cutBefore'
  /** They arrive; the connection is reset at once, so that no answer comes back. */
  | 'cutAfter'
  /** They arrive; the client hears nothing any more, of this connection, and nobody closes it. */
  | 'swallowAnswer';

interface Trap {
  readonly text: Buffer;
  readonly then: Interception;
  readonly sprung: () => void;
}

/**
 * A line between a client and a server that fails on demand: TCP on loopback, whatever is spoken over it. Properties
 * hold for bytes that arrive after they are set, on all connections, those that are open included.
 */
export class FaultProxy {
  /** Each way. */
  latencyMs = 0;
  /** Added at random, anew for each piece; order is kept. */
  jitterMs = 0;
  /** Slow drip, in each direction; undefined: as fast as it goes. */
  bytesPerSecond: number | undefined;
  /** The stream comes in segments of this size, each for itself; undefined: as it was sent. */
  segmentBytes: number | undefined;
  /**
   * Bytes in these directions vanish; connections stay open, and nobody is told. Whoever heals the line cuts it, too: a
   * connection that went on would miss bytes in its middle, which no real one does.
   */
  readonly blackHole: Record<Direction, boolean> = { toServer: false, toClient: false };
  /** New connections are reset at once. */
  refusing = false;
  /** Connections accepted so far. */
  accepted = 0;
  private readonly lines = new Set<Line>();
  private trap: Trap | undefined;

  private constructor(
    private readonly server: Server,
    private readonly target: { readonly host?: string; readonly port: number },
    private readonly random: () => number,
  ) {
    server.on('connection', (client) => {
      this.accepted += 1;
      if (this.refusing) client.resetAndDestroy();
      else this.begin(client);
    });
  }

  /** @param random for jitter; give a seeded one where a run must be repeatable */
  static async open(
    target: { readonly host?: string; readonly port: number },
    random: () => number = Math.random,
  ): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultProxy(server, target, random);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Connections that are open now, half-open ones included. */
  get connections(): number {
    return this.lines.size;
  }

  /** Where connections from now on lead; those that are open stay. */
  redirect(port: number): void {
    Object.assign(this.target, { port });
  }

  /** Ends all connections: `reset` as a crash or a firewall does, `end` in good order. */
  cut(how: 'reset' | 'end' = 'reset'): void {
    for (const line of this.lines) line.cut(how);
  }

  /** Each connection open now passes this many more bytes in that direction, and is reset in mid-frame. */
  tear(direction: Direction, afterBytes: () => number): void {
    for (const line of this.lines) line.tearAfter = { direction, bytes: afterBytes() };
  }

  /** The server's ends vanish; the clients' stay open and hear nothing, not even a FIN, as of a machine that died. */
  halfOpen(): void {
    for (const line of this.lines) line.abandon();
  }

  /**
   * Waits for the text among the bytes to the server, and acts. One at a time. Where the text comes in two pieces the first
   * has gone when it is found: enough for no message to be whole.
   * @returns when it has happened
   */
  async intercept(text: string, then: Interception): Promise<void> {
    await new Promise<void>((sprung) => {
      this.trap = { text: Buffer.from(text), then, sprung };
    });
  }

  /** No faults from here on; connections that already suffer keep what they suffer from. */
  heal(): void {
    Object.assign(this, { latencyMs: 0, jitterMs: 0, refusing: false });
    Object.assign(this, { bytesPerSecond: undefined, segmentBytes: undefined });
    Object.assign(this.blackHole, { toServer: false, toClient: false });
    this.trap = undefined;
  }

  async close(): Promise<void> {
    this.server.close();
    this.cut();
    await once(this.server, 'close');
  }

  /** How long a piece is under way. */
  delay(): number {
    return this.latencyMs + this.jitterMs * this.random();
  }

  /** Bytes at the end of a piece that may be the beginning of the text. */
  get kept(): number {
    return Math.max(0, (this.trap?.text.length ?? 0) - 1);
  }

  /** Takes the trap when it is for these bytes. */
  spring(bytes: Buffer): Trap | undefined {
    const { trap } = this;
    if (trap === undefined || !bytes.includes(trap.text)) return undefined;
    this.trap = undefined;
    return trap;
  }

  private begin(client: Socket): void {
    const line = new Line(this, client, connect({ ...this.target, allowHalfOpen: true }));
    this.lines.add(line);
    line.onEnd(() => this.lines.delete(line));
  }
}

/** One connection through the proxy. */
class Line {
  tearAfter: { readonly direction: Direction; bytes: number } | undefined;
  private mute = false;

  constructor(
    private readonly proxy: FaultProxy,
    private readonly client: Socket,
    private readonly server: Socket,
  ) {
    for (const socket of [client, server]) socket.setNoDelay(true);
    this.carry(client, server, 'toServer');
    this.carry(server, client, 'toClient');
    // An end that dies takes the other with it, but for one that was abandoned.
    client.on('error', () => undefined).once('close', () => server.destroy());
    server
      .on('error', () => {
        if (!this.mute) client.resetAndDestroy();
      })
      .once('close', () => {
        if (!this.mute) client.destroy();
      });
  }

  onEnd(listener: () => void): void {
    this.client.once('close', listener);
  }

  cut(how: 'reset' | 'end'): void {
    for (const socket of [this.client, this.server]) {
      if (how === 'reset') socket.resetAndDestroy();
      else socket.destroy();
    }
  }

  abandon(): void {
    this.mute = true;
    this.server.destroy();
    // What the client still sends is taken off the line, or it would notice by its own full buffers.
    this.client.resume();
  }

  private carry(from: Socket, to: Socket, direction: Direction): void {
    let held = 0;
    let tail = Promise.resolve();
    let before = Buffer.alloc(0);
    const later = (work: () => Promise<void> | void): void => {
      tail = tail.then(work).catch(() => undefined);
    };
    from.on('data', (bytes: Buffer) => {
      if (this.proxy.blackHole[direction] || (this.mute && direction === 'toClient')) return;
      const seen = Buffer.concat([before, bytes]);
      const trap = direction === 'toServer' ? this.proxy.spring(seen) : undefined;
      before = this.proxy.kept === 0 ? Buffer.alloc(0) : seen.subarray(-this.proxy.kept);
      if (trap?.then === 'cutBefore') {
        this.cut('reset');
        trap.sprung();
        return;
      }
      if (trap?.then === 'swallowAnswer') this.mute = true;
      held += bytes.length;
      if (held > HELD_BYTES_MAX) from.pause();
      const due = Date.now() + this.proxy.delay();
      later(async () => {
        await sleep(Math.max(0, due - Date.now()));
        await this.pour(this.torn(bytes, direction), to);
        if (this.tearAfter?.bytes === 0) this.cut('reset');
        held -= bytes.length;
        if (held <= HELD_BYTES_MAX) from.resume();
        if (trap === undefined) return;
        // A connection that is reset loses what the other side has not taken yet; an orderly end does not.
        if (trap.then === 'cutAfter') {
          this.mute = true;
          to.end();
          this.client.resetAndDestroy();
        }
        trap.sprung();
      });
    });
    from.once('end', () => {
      later(() => {
        if (!(this.mute && direction === 'toClient')) to.end();
      });
    });
  }

  private torn(bytes: Buffer, direction: Direction): Buffer {
    const { tearAfter } = this;
    if (tearAfter?.direction !== direction) return bytes;
    const left = bytes.subarray(0, tearAfter.bytes);
    tearAfter.bytes -= left.length;
    return left;
  }

  private async pour(bytes: Buffer, to: Socket): Promise<void> {
    for (let at = 0; at < bytes.length && !to.destroyed;) {
      const { bytesPerSecond, segmentBytes } = this.proxy;
      const size =
        bytesPerSecond === undefined
          ? (segmentBytes ?? bytes.length)
          : Math.max(1, Math.floor((bytesPerSecond * DRIP_MS) / 1_000));
      if (bytesPerSecond !== undefined) await sleep(Math.max(DRIP_MS, 1_000 / bytesPerSecond));
      await new Promise<void>((resolve) => {
        to.write(bytes.subarray(at, at + size), () => {
          resolve();
        });
      });
      // What is written in one turn of the event loop may travel together.
      if (segmentBytes !== undefined) await new Promise((resolve) => setImmediate(resolve));
      at += size;
    }
  }
}

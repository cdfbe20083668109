import type { SocketLike } from '../../sdk';
import type { GatewaySocket } from '../../src/gateway/gateway-socket';
import type { Session } from '../../src/gateway/session';
import type { Random } from './random';
import type { VirtualTime } from './virtual-time';

/** How connections behave. */
export interface NetworkWeather {
  latencyMs: number;
}

/** What takes connections: a node, as the network sees it. */
export interface Listener {
  readonly isUp: boolean;
  /** The node's own end of a new connection; undefined: it takes none. */
  accept(link: Link): Session | undefined;
}

const ABNORMAL = 1006;
const NO_CODE = 1005;
/** What the SDK, or `ws`, gives a far end to answer a close frame. */
const CLOSE_TIMEOUT_MS = 3_000;
const PING_BYTES = 2;
/** Long enough for the device to say who it is. */
const STRANDED_AFTER_MS = 20;

/** One way of a connection: what is carried arrives in order and late, or not at all. */
class Way {
  private lastAt = 0;
  private held: (() => void)[] | undefined;
  private isCut = false;

  constructor(
    private readonly time: VirtualTime,
    private readonly delayMs: () => number,
  ) {}

  carry(arrive: () => void): void {
    if (this.isCut) return;
    this.lastAt = Math.max(this.lastAt, this.time.precise + Math.max(1, this.delayMs()));
    this.time.after(this.lastAt - this.time.precise, () => {
      if (this.isCut) return;
      if (this.held === undefined) arrive();
      else this.held.push(arrive);
    });
  }

  /** What is on its way, and what follows, waits as TCP lets it wait. */
  block(): void {
    this.held ??= [];
  }

  unblock(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const arrive of held) if (!this.isCut) arrive();
  }

  cut(): void {
    this.isCut = true;
  }
}

/** Told of every frame that a node writes and every frame that a device sends. */
export interface Tap {
  sent(text: string): void;
  /** The node has it now. */
  arrived(text: string): void;
  wrote(text: string): void;
}

/**
 * One TCP connection with WebSocket on it, from a device to a node. It plays the `ws` socket and the TCP
 * socket for the node's session, and what is left of the browser's WebSocket is {@link DeviceSocket}.
 */
export class Link {
  bytesRead = 0;
  private readonly up: Way;
  private readonly down: Way;
  private session: Session | undefined;
  private isPaused = false;
  private readonly unread: string[] = [];
  /** While the device reads nothing: what Node holds for it. */
  private backlog: Buffer[] | undefined;
  private backlogBytes = 0;
  private drained: (() => void) | undefined;
  private isServerOver = false;
  tap: Tap | undefined;
  /** The line goes as soon as it has opened; what the device says into it arrives after so many milliseconds. */
  strandedMs: number | undefined;

  constructor(
    readonly node: Listener,
    private readonly device: DeviceSocket,
    private readonly time: VirtualTime,
    random: Random,
    weather: NetworkWeather,
  ) {
    this.up = new Way(time, () => random.delayMs(weather.latencyMs));
    this.down = new Way(time, () => random.delayMs(weather.latencyMs));
  }

  get isOver(): boolean {
    return this.isServerOver || this.device.isOver;
  }

  open(): void {
    this.up.carry(() => {
      const session = this.node.isUp ? this.node.accept(this) : undefined;
      if (session === undefined) {
        this.isServerOver = true;
        this.down.carry(() => {
          this.device.closed(ABNORMAL, 'refused');
        });
        return;
      }
      this.session = session;
      this.down.carry(() => {
        if (this.strandedMs !== undefined) this.strand(this.strandedMs);
        this.device.opened();
      });
    });
  }

  // The device's end.

  send(text: string): void {
    this.tap?.sent(text);
    this.up.carry(() => {
      if (this.isPaused) this.unread.push(text);
      else this.arrive(text);
    });
  }

  /** The device's process is gone, or it hangs up: what it sent before arrives first. */
  hangUp(): void {
    this.up.carry(() => {
      this.serverClosed(NO_CODE);
    });
  }

  // Faults.

  reset(random: Random): void {
    this.up.cut();
    this.down.cut();
    this.time.after(1 + random.delayMs(20), () => {
      this.device.closed(ABNORMAL, 'reset');
    });
    this.time.after(1 + random.delayMs(20), () => {
      this.serverClosed(ABNORMAL);
    });
  }

  private strand(forMs: number): void {
    this.up.block();
    this.time.after(STRANDED_AFTER_MS, () => {
      this.device.closed(ABNORMAL, 'stranded');
    });
    this.time.after(forMs, () => {
      this.up.unblock();
    });
  }

  block(way: 'up' | 'down' | 'both'): void {
    if (way !== 'down') this.up.block();
    if (way !== 'up') this.down.block();
  }

  unblock(): void {
    this.up.unblock();
    this.down.unblock();
  }

  /** The device reads nothing until {@link read}. */
  stall(): void {
    this.backlog ??= [];
  }

  read(): void {
    const backlog = this.backlog ?? [];
    this.backlog = undefined;
    this.backlogBytes = 0;
    for (const bytes of backlog) this.transmit(bytes);
    const drained = this.drained;
    this.drained = undefined;
    drained?.();
  }

  /** The node's process is gone; its kernel says so, unless the machine went with it. */
  die(isSilent: boolean): void {
    this.isServerOver = true;
    this.session = undefined;
    this.up.cut();
    if (isSilent) this.down.cut();
    else
      this.down.carry(() => {
        this.device.closed(ABNORMAL, 'the node died');
      });
  }

  // The node's end, as `Session` uses it.

  asSocket(): GatewaySocket {
    return this as unknown as GatewaySocket;
  }

  get writableLength(): number {
    return this.backlogBytes;
  }

  write(bytes: Buffer): boolean {
    if (this.isServerOver) return false;
    if (this.tap !== undefined) for (const text of textsIn(bytes)) this.tap.wrote(text);
    if (this.backlog === undefined) this.transmit(bytes);
    else {
      this.backlog.push(bytes);
      this.backlogBytes += bytes.length;
    }
    return this.backlog === undefined;
  }

  once(_event: 'drain', listener: () => void): void {
    this.drained = listener;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    for (let text = this.nextUnread(); text !== undefined; text = this.nextUnread()) this.arrive(text);
  }

  ping(): void {
    if (this.isServerOver) return;
    this.down.carry(() => {
      if (this.device.isOver) return;
      this.up.carry(() => {
        this.bytesRead += PING_BYTES;
      });
    });
  }

  close(code: number, reason: string): void {
    if (this.isServerOver) return;
    if (this.backlog !== undefined) {
      // The close frame waits behind what is not read; `ws` gives it three seconds.
      this.time.after(CLOSE_TIMEOUT_MS, () => {
        this.terminate();
      });
      return;
    }
    this.down.carry(() => {
      this.device.closed(code, reason);
      this.up.carry(() => {
        this.serverClosed(code);
      });
    });
    this.time.after(CLOSE_TIMEOUT_MS, () => {
      this.serverClosed(ABNORMAL);
    });
  }

  terminate(): void {
    if (this.isServerOver) return;
    this.down.carry(() => {
      this.device.closed(ABNORMAL, 'terminated');
    });
    this.serverClosed(ABNORMAL);
  }

  private nextUnread(): string | undefined {
    return this.isPaused ? undefined : this.unread.shift();
  }

  private arrive(text: string): void {
    if (this.isServerOver) return;
    const bytes = Buffer.from(text);
    this.bytesRead += bytes.length;
    this.tap?.arrived(text);
    this.session?.received(bytes);
  }

  private serverClosed(code: number): void {
    if (this.isServerOver) return;
    this.isServerOver = true;
    this.session?.closed(code);
  }

  private transmit(bytes: Buffer): void {
    for (const text of textsIn(bytes)) {
      this.down.carry(() => {
        this.device.received(text);
      });
    }
  }
}

/** The payloads of unmasked text frames (RFC 6455), which a node always writes whole. */
function textsIn(bytes: Buffer): string[] {
  const texts: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    let length = bytes.readUInt8(at + 1);
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at));
      at += 8;
    }
    texts.push(bytes.toString('utf8', at, at + length));
    at += length;
  }
  return texts;
}

/** A device's socket; what its connection does is up to the network. */
export class DeviceSocket implements SocketLike {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  isOver = false;
  link: Link | undefined;

  send(data: string): void {
    if (!this.isOver) this.link?.send(data);
  }

  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.link?.hangUp();
  }

  /** The process is gone without a word to anybody. */
  vanish(): void {
    this.isOver = true;
  }

  opened(): void {
    if (!this.isOver) this.onopen?.({} as never);
  }

  received(text: string): void {
    if (!this.isOver) this.onmessage?.({ data: text } as never);
  }

  closed(code: number, reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onclose?.({ code, reason } as never);
  }
}

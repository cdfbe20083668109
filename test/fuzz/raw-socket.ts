import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const WAIT_MS = 30_000;

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

interface FrameOptions {
  readonly fin?: boolean;
  /** The three reserved bits, as a number. */
  readonly reserved?: number;
  /** Any number up to 15: most of them mean nothing. */
  readonly opcode?: number;
  readonly masked?: boolean;
  /** What the header says of the length, true or not. */
  readonly claimedBytes?: bigint;
}

/** The bytes of a WebSocket frame (RFC 6455, section 5.2), right or wrong. */
export function frameBytes(payload: Buffer | string, options: FrameOptions = {}): Buffer {
  const { fin = true, reserved = 0, opcode = OPCODE.text, masked = true } = options;
  const body = Buffer.from(payload);
  const length = options.claimedBytes ?? BigInt(body.length);
  const size = length < 126n ? 0 : length < 65_536n ? 2 : 8;
  const head = Buffer.alloc(2 + size);
  head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (size === 0 ? Number(length) : size === 2 ? 126 : 127);
  if (size === 2) head.writeUInt16BE(Number(length), 2);
  if (size === 8) head.writeBigUInt64BE(length, 2);
  if (!masked) return Buffer.concat([head, body]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, body.map((byte, n) => byte ^ (mask[n % 4] ?? 0))]);
}

/** A TCP connection that speaks whatever a test wants, and writes down what comes back. */
export class RawSocket {
  readonly received: Buffer[] = [];
  isClosed = false;
  private readonly socket: Socket;

  constructor(url: string) {
    this.socket = connect(Number(new URL(url).port), '127.0.0.1');
    this.socket.on('data', (bytes) => this.received.push(bytes));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    // Half a conversation is one, too: the server's end of it is answered by ours.
    this.socket.on('end', () => this.socket.end());
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  get text(): string {
    return this.bytes.toString('latin1');
  }

  write(bytes: Buffer | string): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  async closed(): Promise<void> {
    await this.until(() => this.isClosed, 'the close');
  }

  /** @throws Error with what came instead */
  async until(holds: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`no ${what}; received ${this.text.slice(0, 500)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** A WebSocket written by hand, after a handshake that went well. */
export class RawWebSocket extends RawSocket {
  private headEnds = 0;

  /** Opens `/ws`. @param headers lines to add to the handshake */
  static async open(url: string, headers: readonly string[] = []): Promise<RawWebSocket> {
    const socket = new RawWebSocket(url);
    socket.write(handshake(headers));
    await socket.until(() => socket.text.includes('\r\n\r\n'), 'an answer to the handshake');
    if (!socket.text.startsWith('HTTP/1.1 101 ')) throw new Error(`no WebSocket: ${socket.text}`);
    socket.headEnds = socket.text.indexOf('\r\n\r\n') + 4;
    return socket;
  }

  /** Opens and authenticates. */
  static async signIn(url: string, token: string): Promise<RawWebSocket> {
    const socket = await RawWebSocket.open(url);
    const data = { token, deviceId: `raw-${randomBytes(6).toString('hex')}` };
    socket.write(frameBytes(JSON.stringify({ event: 'auth', id: 'auth', data })));
    await socket.until(() => socket.frames.some(({ text }) => text.includes('"ready"')), 'ready');
    return socket;
  }

  /** What the server has sent, as frames; it sends neither masks nor fragments. */
  get frames(): { readonly opcode: number; readonly text: string; readonly payload: Buffer }[] {
    const frames = [];
    const bytes = this.bytes.subarray(this.headEnds);
    for (let at = 0; at + 2 <= bytes.length;) {
      const short = (bytes[at + 1] ?? 0) & 0x7f;
      const size = short === 126 ? 2 : short === 127 ? 8 : 0;
      if (at + 2 + size > bytes.length) break;
      const length =
        size === 0 ? short : size === 2 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
      const payload = bytes.subarray(at + 2 + size, at + 2 + size + length);
      if (payload.length < length) break;
      frames.push({ opcode: (bytes[at] ?? 0) & 0x0f, payload, text: payload.toString('utf8') });
      at += 2 + size + length;
    }
    return frames;
  }

  /** Of the close frame, once one came. */
  get closeCode(): number | undefined {
    const frame = this.frames.find(({ opcode }) => opcode === OPCODE.close);
    return frame === undefined || frame.payload.length < 2 ? undefined : frame.payload.readUInt16BE(0);
  }

  /** Everything the server said as JSON. */
  get said(): { event: string; id?: string; data: Record<string, unknown> }[] {
    return this.frames
      .filter(({ opcode }) => opcode === OPCODE.text)
      .map(({ text }) => JSON.parse(text) as { event: string; id?: string; data: Record<string, unknown> });
  }
}

/** A good one but for what is added. */
export const handshake = (headers: readonly string[] = [], path = '/ws'): string =>
  [
    `GET ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13'],
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...headers,
    '\r\n',
  ].join('\r\n');

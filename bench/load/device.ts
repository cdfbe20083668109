import { connect, type Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { FrameReader, OPCODE_CLOSE, OPCODE_PING, OPCODE_TEXT, pongFrame, textFrame } from './frames';
import type { Person } from './people';

/** One for all sockets: what was read is dealt with before the next read. */
const readBuffer = Buffer.allocUnsafe(65_536);
const HANDSHAKE_BYTES_MAX = 16_384;
const ANSWER_TIMEOUT_MS = 60_000;
const EVENT_AT = '{"event":"'.length;
const ID_KEY = ',"id":"';

export interface ServerFrame {
  readonly event: string;
  readonly id?: string;
  readonly data?: Record<string, unknown>;
}

/** What a scenario is told of, in the order of the socket. Texts are read by position, not parsed. */
export interface DeviceListener {
  /** `tag`: the id that the send was given. */
  acked?(device: Device, tag: string, text: string): void;
  refused?(device: Device, tag: string, text: string): void;
  /** A message of anybody in one of the device's conversations. */
  message?(device: Device, text: string): void;
  /** Any other frame that nobody waits for. */
  other?(device: Device, text: string): void;
  closed?(device: Device, code: number): void;
}

/** The value of a string field of a frame: the first one of that name; empty when there is none. */
export function stringField(text: string, name: string): string {
  const key = `"${name}":"`;
  const at = text.indexOf(key);
  if (at < 0) return '';
  const from = at + key.length;
  return text.slice(from, text.indexOf('"', from));
}

/** The value of a field that is a number; -1 when there is none. */
export function numberField(text: string, name: string): number {
  const key = `"${name}":`;
  const at = text.indexOf(key);
  if (at < 0) return -1;
  let value = 0;
  for (let n = at + key.length; n < text.length; n++) {
    const digit = text.charCodeAt(n) - 48;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return value;
}

/** The frame's own id, which stands behind its event or behind its data; empty when it has none. */
function idOf(text: string): string {
  const afterEvent = text.indexOf('"', EVENT_AT) + 1;
  if (text.startsWith(ID_KEY, afterEvent)) {
    const from = afterEvent + ID_KEY.length;
    return text.slice(from, text.indexOf('"', from));
  }
  if (!text.endsWith('"}')) return '';
  const from = text.lastIndexOf('"', text.length - 3) + 1;
  return text.startsWith(ID_KEY, from - ID_KEY.length) ? text.slice(from, -2) : '';
}

interface Waiting {
  readonly resolve: (frame: ServerFrame) => void;
  readonly pages: ServerFrame[];
}

/** A device on a raw TCP socket, from the protocol's description alone. */
export class Device {
  private readonly reader = new FrameReader((opcode, bytes, from, to) => {
    this.take(opcode, bytes, from, to);
  });
  private readonly waiting = new Map<string, Waiting>();
  private handshake: Buffer | undefined = Buffer.alloc(0);
  private upgraded: (() => void) | undefined;
  private failed: ((error: Error) => void) | undefined;
  private requests = 0;
  private gathered: Buffer[] | undefined;
  isOpen = false;
  framesReceived = 0;
  listener: DeviceListener;

  private constructor(
    private readonly socket: Socket,
    readonly person: Person,
    readonly deviceId: string,
    listener: DeviceListener,
  ) {
    this.listener = listener;
  }

  /** Connects, upgrades and authenticates. @throws Error when the server says anything but `ready` */
  static async open(
    port: number,
    person: Person,
    listener: DeviceListener,
    deviceId = 'bench',
  ): Promise<Device> {
    const device = await Device.connect(port, person, listener, deviceId);
    const ready = await device.request('auth', { token: person.token, deviceId });
    if (ready.event !== 'ready') throw new Error(`auth was answered by ${JSON.stringify(ready)}`);
    return device;
  }

  private static connect(
    port: number,
    person: Person,
    listener: DeviceListener,
    deviceId: string,
  ): Promise<Device> {
    return new Promise((resolve, reject) => {
      let device: Device | undefined = undefined;
      const socket = connect({
        port,
        // Many addresses of this machine: one has ports for some 28,000 connections to a server alone.
        host: '127.0.0.1',
        localAddress: person.address,
        noDelay: true,
        onread: {
          buffer: readBuffer,
          callback: (length: number, buffer: Uint8Array) => {
            device?.received(buffer.subarray(0, length) as Buffer);
            return true;
          },
        },
      });
      const made = new Device(socket, person, deviceId, listener);
      device = made;
      made.upgraded = () => {
        made.isOpen = true;
        resolve(made);
      };
      made.failed = reject;
      socket.once('connect', () => {
        const key = randomBytes(16).toString('base64');
        socket.write(
          `GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
            `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
        );
      });
      socket.once('error', (error) => {
        reject(error);
      });
      socket.once('close', () => {
        made.ended(1006);
      });
    });
  }

  /** Sends a frame and goes on; frames sent between {@link cork} and {@link uncork} leave in one write. */
  send(text: string): void {
    const bytes = textFrame(text);
    if (this.gathered === undefined) this.socket.write(bytes);
    else this.gathered.push(bytes);
  }

  cork(): void {
    this.gathered ??= [];
  }

  uncork(): void {
    const gathered = this.gathered ?? [];
    this.gathered = undefined;
    const [only] = gathered;
    if (only !== undefined) this.socket.write(gathered.length === 1 ? only : Buffer.concat(gathered));
  }

  /** Sends a frame and waits for its one answer. @throws Error after a minute, or when the socket closes */
  async request(event: string, data: object): Promise<ServerFrame> {
    return (await this.requestPages(event, data)).answer;
  }

  /** As {@link request}, with the `sync.page` frames that came before the answer. */
  requestPages(event: string, data: object): Promise<{ pages: readonly ServerFrame[]; answer: ServerFrame }> {
    const id = `q${this.requests++}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Error(`no answer to ${event} within ${ANSWER_TIMEOUT_MS / 1_000} s`));
      }, ANSWER_TIMEOUT_MS);
      const pages: ServerFrame[] = [];
      this.waiting.set(id, {
        pages,
        resolve: (answer) => {
          clearTimeout(timer);
          resolve({ pages, answer });
        },
      });
      this.send(JSON.stringify({ event, id, data }));
    });
  }

  /** Cuts the connection. */
  destroy(): void {
    this.isOpen = false;
    this.socket.destroy();
  }

  private received(bytes: Buffer): void {
    if (this.handshake === undefined) {
      this.reader.read(bytes);
      return;
    }
    const all = Buffer.concat([this.handshake, bytes]);
    const end = all.indexOf('\r\n\r\n');
    if (end < 0) {
      if (all.length > HANDSHAKE_BYTES_MAX) this.failed?.(new Error('the upgrade is not answered by HTTP'));
      this.handshake = all;
      return;
    }
    if (!all.toString('latin1', 0, 12).startsWith('HTTP/1.1 101')) {
      this.failed?.(new Error(`the upgrade was refused: ${all.toString('latin1', 0, 64)}`));
      this.destroy();
      return;
    }
    this.handshake = undefined;
    this.upgraded?.();
    if (all.length > end + 4) this.reader.read(all.subarray(end + 4));
  }

  private take(opcode: number, bytes: Buffer, from: number, to: number): void {
    this.framesReceived++;
    switch (opcode) {
      case OPCODE_TEXT:
        this.text(bytes, from, to);
        break;
      case OPCODE_PING:
        this.socket.write(pongFrame(bytes.subarray(from, to)));
        break;
      case OPCODE_CLOSE:
        this.ended(to - from >= 2 ? bytes.readUInt16BE(from) : 1005);
        break;
    }
  }

  private text(bytes: Buffer, from: number, to: number): void {
    // Every frame we need to look at is ASCII but for message bodies, which are looked at as bytes.
    const text = bytes.toString('latin1', from, to);
    if (text.startsWith('{"event":"message.sent"')) this.listener.message?.(this, text);
    else this.answer(text, bytes, from, to);
  }

  private answer(text: string, bytes: Buffer, from: number, to: number): void {
    const id = idOf(text);
    const waiting = this.waiting.get(id);
    if (waiting === undefined) {
      if (text.startsWith('{"event":"message.ack"')) this.listener.acked?.(this, id, text);
      else if (text.startsWith('{"event":"error"')) this.listener.refused?.(this, id, text);
      else this.listener.other?.(this, text);
      return;
    }
    const frame = JSON.parse(bytes.toString('utf8', from, to)) as ServerFrame;
    if (frame.event === 'sync.page') waiting.pages.push(frame);
    else {
      this.waiting.delete(id);
      waiting.resolve(frame);
    }
  }

  private ended(code: number): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.listener.closed?.(this, code);
  }
}

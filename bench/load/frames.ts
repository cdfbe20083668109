import { randomFillSync } from 'node:crypto';

/**
 * WebSocket frames made by hand (RFC 6455, section 5): the generator shares its machine with the server it
 * measures, and a general client costs more than the frames do.
 */
const FIN_TEXT = 0x81;
const FIN_PONG = 0x8a;
const MASKED = 0x80;
const LENGTH_16_BIT = 126;
const LENGTH_64_BIT = 127;
const KEY_BYTES = 4;

export const OPCODE_TEXT = 0x1;
export const OPCODE_CLOSE = 0x8;
export const OPCODE_PING = 0x9;

const keys = Buffer.alloc(4_096);
let nextKey = keys.length;

function frame(head: number, payload: Buffer): Buffer {
  const { length } = payload;
  const lengthBytes = length < LENGTH_16_BIT ? 0 : length < 65_536 ? 2 : 8;
  const start = 2 + lengthBytes + KEY_BYTES;
  const bytes = Buffer.allocUnsafe(start + length);
  bytes[0] = head;
  if (lengthBytes === 0) bytes[1] = MASKED | length;
  else if (lengthBytes === 2) {
    bytes[1] = MASKED | LENGTH_16_BIT;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = MASKED | LENGTH_64_BIT;
    bytes.writeUInt32BE(0, 2);
    bytes.writeUInt32BE(length, 6);
  }
  if (nextKey === keys.length) {
    randomFillSync(keys);
    nextKey = 0;
  }
  const keyAt = start - KEY_BYTES;
  keys.copy(bytes, keyAt, nextKey, nextKey + KEY_BYTES);
  nextKey += KEY_BYTES;
  for (let n = 0; n < length; n++) {
    bytes[start + n] = (payload[n] as number) ^ (bytes[keyAt + (n & 3)] as number);
  }
  return bytes;
}

/** A whole masked text frame. */
export const textFrame = (text: string): Buffer => frame(FIN_TEXT, Buffer.from(text));

export const pongFrame = (payload: Buffer): Buffer => frame(FIN_PONG, payload);

/** Called with the bounds of each payload inside `bytes`, which are good for the time of the call alone. */
export type OnFrame = (opcode: number, bytes: Buffer, from: number, to: number) => void;

/**
 * Takes the frames out of a server's stream of bytes. Servers do not mask, and this one does not fragment; what
 * is not complete is kept until the rest has come.
 */
export class FrameReader {
  private kept: Buffer | undefined;

  constructor(private readonly onFrame: OnFrame) {}

  /** `bytes` may be used again by the caller afterwards. */
  read(fresh: Buffer): void {
    const bytes = this.kept === undefined ? fresh : Buffer.concat([this.kept, fresh]);
    this.kept = undefined;
    let at = 0;
    while (at + 2 <= bytes.length) {
      const short = bytes[at + 1] as number;
      const head = short < LENGTH_16_BIT ? 2 : short === LENGTH_16_BIT ? 4 : 10;
      if (at + head > bytes.length) break;
      const length =
        head === 2 ? short : head === 4 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      const end = at + head + length;
      if (end > bytes.length) break;
      this.onFrame((bytes[at] as number) & 0x0f, bytes, at + head, end);
      at = end;
    }
    if (at < bytes.length) this.kept = Buffer.from(bytes.subarray(at));
  }
}

const FIN_TEXT = 0x81;
const LENGTH_16_BIT = 126;
const LENGTH_64_BIT = 127;

const headerBytes = (length: number): number => (length < LENGTH_16_BIT ? 2 : length < 65_536 ? 4 : 10);

function writeHeader(frame: Buffer, length: number): number {
  frame[0] = FIN_TEXT;
  if (length < LENGTH_16_BIT) {
    frame[1] = length;
    return 2;
  }
  if (length < 65_536) {
    frame[1] = LENGTH_16_BIT;
    frame.writeUInt16BE(length, 2);
    return 4;
  }
  frame[1] = LENGTH_64_BIT;
  frame.writeUInt32BE(0, 2);
  frame.writeUInt32BE(length, 6);
  return 10;
}

/** A whole unmasked text frame (RFC 6455 section 5.2), header and payload in one piece: one write, no merge. */
export function textFrame(payload: string | Buffer): Buffer {
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  const frame = Buffer.allocUnsafe(headerBytes(length) + length);
  const offset = writeHeader(frame, length);
  if (typeof payload === 'string') frame.write(payload, offset);
  else payload.copy(frame, offset);
  return frame;
}

let lastPayload: Buffer | undefined;
let lastFrame: Buffer | undefined;

/**
 * {@link textFrame} of a payload that goes to many sockets in a row: a fan-out frames it once, because it asks
 * for the same payload again and again before it comes to another.
 */
export function sharedTextFrame(payload: Buffer): Buffer {
  if (payload !== lastPayload || lastFrame === undefined) {
    lastPayload = payload;
    lastFrame = textFrame(payload);
  }
  return lastFrame;
}

import type { ServiceDefinition } from '@grpc/grpc-js';
import { BinaryReader } from 'google-protobuf';

/** The wire types there are, but for groups, which no message of this protocol has. */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;
const VARINT_BYTES_MAX = 10;

interface MessageClass {
  new (): unknown;
  deserializeBinaryFromReader(message: unknown, reader: BinaryReader): unknown;
}

/**
 * The same service, which reads no request whose fields reach beyond the message that has them. The library's
 * own readers trust lengths: six bytes that promise two gigabytes keep this process busy for many seconds.
 */
export function strictly<Service extends ServiceDefinition>(service: Service): Service {
  const methods = Object.entries(service).map(([name, method]) => {
    const { requestType } = method as unknown as { readonly requestType: MessageClass };
    const requestDeserialize = (bytes: Buffer): unknown => readMessage(requestType, bytes);
    return [name, { ...method, requestDeserialize }];
  });
  return Object.fromEntries(methods) as Service;
}

/** @throws RangeError when the bytes are no message */
export function readMessage<Message>(type: new () => Message, bytes: Uint8Array): Message {
  checkFields(bytes, 0, bytes.length);
  const known = type as unknown as MessageClass;
  return known.deserializeBinaryFromReader(new known(), strictReader(bytes)) as Message;
}

/** A reader that looks at the fields of every message before it reads them. */
function strictReader(bytes: Uint8Array): BinaryReader {
  const reader = new BinaryReader(bytes);
  const read = reader.readMessage.bind(reader);
  reader.readMessage = (message, readFields) => {
    // The length, and behind it the message: that both are in the message around it was looked at before.
    const { value: length, next: start } = varintAt(bytes, reader.getCursor(), bytes.length);
    checkFields(bytes, start, start + length);
    read(message, readFields);
  };
  return reader;
}

/** Headers and lengths of the fields between two places, not what is in them. */
function checkFields(bytes: Uint8Array, from: number, end: number): void {
  for (let at = from; at < end;) {
    const { value: header, next } = varintAt(bytes, at, end);
    if (header < 8) throw new RangeError('a field has no number');
    at = afterValue(bytes, header % 8, next, end);
    if (at > end) throw new RangeError('a field is longer than its message');
  }
}

function afterValue(bytes: Uint8Array, type: number, at: number, end: number): number {
  switch (type) {
    case VARINT:
      return varintAt(bytes, at, end).next;
    case FIXED64:
      return at + 8;
    case FIXED32:
      return at + 4;
    case DELIMITED: {
      const { value: length, next } = varintAt(bytes, at, end);
      return next + length;
    }
    default:
      throw new RangeError(`a field has the wire type ${type}`);
  }
}

/** A number in groups of seven bits; exact up to 2^53, beyond which every length is too long anyway. */
function varintAt(
  bytes: Uint8Array,
  from: number,
  end: number,
): { readonly value: number; readonly next: number } {
  let value = 0;
  for (let n = 0; n < VARINT_BYTES_MAX && from + n < end; n++) {
    const byte = bytes[from + n] as number;
    value += (byte & 0x7f) * 2 ** (7 * n);
    if (byte < 0x80) return { value, next: from + n + 1 };
  }
  throw new RangeError('a number does not end');
}

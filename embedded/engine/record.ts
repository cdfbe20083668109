import { crc32 } from 'node:zlib';
import { asEventId, type EventId } from '../../src/kernel/ids';
import { EngineError } from './errors';

/** In bytes of UTF-8. */
const EVENT_TYPE_BYTES_MAX = 1_024;

/** An event to be stored; the engine keeps `data` and `metadata` byte for byte. */
export interface EngineEvent {
  /** A UUID in its usual form. */
  readonly id: string;
  readonly type: string;
  /** Said of `data`; metadata is JSON by convention, or empty. */
  readonly isJson: boolean;
  /** Text is stored as UTF-8. */
  readonly data: string | Uint8Array;
  readonly metadata: string | Uint8Array;
  /**
   * The values that `data` and `metadata` are the JSON of, when the caller has them: readers in this process
   * get these very objects while the event is recent, without parsing. To be treated as frozen.
   */
  readonly parsed?: { readonly data: unknown; readonly metadata: unknown };
}

/*
 * A record, integers big endian:
 *   0 u32 CRC-32 of all that follows   4 u8 layout   5 u8 flags   6 u16 stream bytes   8 u16 type bytes
 *  10 u16 zero   12 f64 revision   20 f64 created (ms)   28 16 bytes id   44 u32 data bytes
 *  48 stream, type, data, metadata
 * The stream's name is in every record, so that the log alone is enough to make all the rest anew.
 */
const LAYOUT = 1;
const FLAG_JSON = 1;
const AT_LAYOUT = 4;
const AT_FLAGS = 5;
const AT_STREAM_BYTES = 6;
const AT_TYPE_BYTES = 8;
const AT_REVISION = 12;
const AT_CREATED = 20;
const AT_ID = 28;
const AT_DATA_BYTES = 44;
const AT_STRINGS = 48;
const ID_BYTES = 16;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const byteLength = (value: string | Uint8Array): number =>
  typeof value === 'string' ? Buffer.byteLength(value) : value.length;

/** Bytes of data and metadata, which the limit of one append counts. */
export const payloadBytes = (event: EngineEvent): number =>
  byteLength(event.data) + byteLength(event.metadata);

/** Of a record as it is stored. */
export const streamBytesOf = (record: Buffer): number => record.readUInt16BE(AT_STREAM_BYTES);

/** Everything but the place in the log, which is known only when it is the event's turn. */
export function encodeRecord(stream: string, event: EngineEvent): Buffer {
  if (!UUID.test(event.id)) throw new EngineError('invalid', `not a UUID: ${JSON.stringify(event.id)}`);
  const streamBytes = Buffer.byteLength(stream);
  const typeBytes = Buffer.byteLength(event.type);
  if (typeBytes > EVENT_TYPE_BYTES_MAX) {
    throw new EngineError('invalid', `an event type has at most ${EVENT_TYPE_BYTES_MAX} bytes`);
  }
  const dataBytes = byteLength(event.data);
  const size = AT_STRINGS + streamBytes + typeBytes + dataBytes + byteLength(event.metadata);
  const record = Buffer.allocUnsafe(size);
  record[AT_LAYOUT] = LAYOUT;
  record[AT_FLAGS] = event.isJson ? FLAG_JSON : 0;
  record.writeUInt16BE(streamBytes, AT_STREAM_BYTES);
  record.writeUInt32BE(typeBytes << 16, AT_TYPE_BYTES);
  record.write(event.id.replaceAll('-', ''), AT_ID, ID_BYTES, 'hex');
  record.writeUInt32BE(dataBytes, AT_DATA_BYTES);
  let at = AT_STRINGS;
  at += record.write(stream, at);
  at += record.write(event.type, at);
  at += place(event.data, record, at);
  place(event.metadata, record, at);
  return record;
}

function place(value: string | Uint8Array, record: Buffer, at: number): number {
  if (typeof value === 'string') return record.write(value, at);
  record.set(value, at);
  return value.length;
}

/** Completes a record with its place. */
export function sealRecord(record: Buffer, revision: number, created: number): void {
  record.writeDoubleBE(revision, AT_REVISION);
  record.writeDoubleBE(created, AT_CREATED);
  record.writeUInt32BE(crc32(record.subarray(4)), 0);
}

/** @throws EngineError `corrupt`, naming the position */
export function checkRecord(record: Buffer, position: number): void {
  const sound = record.length >= AT_STRINGS && record.readUInt32BE(0) === crc32(record.subarray(4));
  if (!sound) throw new EngineError('corrupt', `the record at position ${position} is damaged`);
  if (record[AT_LAYOUT] !== LAYOUT) {
    throw new EngineError(
      'newerFormat',
      `the record at position ${position} has layout ${record[AT_LAYOUT]}`,
    );
  }
}

/** A stored event; strings and JSON are decoded when first asked for, and once. */
export class RecordedEvent {
  private streamName: string | undefined;
  private typeName: string | undefined;
  private eventId: EventId | undefined;
  private dataValue: unknown;
  private metadataValue: unknown;

  constructor(
    /** Place in the order of the whole log, from 0. */
    readonly position: number,
    private readonly record: Buffer,
    origin?: { readonly stream: string; readonly event: EngineEvent },
  ) {
    if (origin === undefined) return;
    this.streamName = origin.stream;
    this.typeName = origin.event.type;
    this.eventId = asEventId(origin.event.id.toLowerCase());
    this.dataValue = origin.event.parsed?.data;
    this.metadataValue = origin.event.parsed?.metadata;
  }

  get stream(): string {
    return (this.streamName ??= this.record.toString('utf8', AT_STRINGS, this.typeAt));
  }

  get type(): string {
    return (this.typeName ??= this.record.toString('utf8', this.typeAt, this.dataAt));
  }

  get id(): EventId {
    return (this.eventId ??= asEventId(idText(this.record)));
  }

  /** {@link TOMBSTONE_REVISION} for the event that ends a stream for ever. */
  get revision(): number {
    return this.record.readDoubleBE(AT_REVISION);
  }

  /** Milliseconds since the epoch. */
  get created(): number {
    return this.record.readDoubleBE(AT_CREATED);
  }

  get isJson(): boolean {
    return ((this.record[AT_FLAGS] as number) & FLAG_JSON) !== 0;
  }

  /** Not to be written to: it is shared. */
  get data(): Buffer {
    return this.record.subarray(this.dataAt, this.metadataAt);
  }

  /** Not to be written to: it is shared. */
  get metadata(): Buffer {
    return this.record.subarray(this.metadataAt);
  }

  /** The whole record, as it stands in the log. Not to be written to: it is shared. */
  get stored(): Buffer {
    return this.record;
  }

  /** In bytes, with everything. */
  get size(): number {
    return this.record.length;
  }

  /** undefined when the data is no JSON. Shared by all readers. */
  get dataJson(): unknown {
    return (this.dataValue ??= parse(this.data));
  }

  /** undefined when the metadata is no JSON. Shared by all readers. */
  get metadataJson(): unknown {
    return (this.metadataValue ??= parse(this.metadata));
  }

  private get typeAt(): number {
    return AT_STRINGS + streamBytesOf(this.record);
  }

  private get dataAt(): number {
    return this.typeAt + this.record.readUInt16BE(AT_TYPE_BYTES);
  }

  private get metadataAt(): number {
    return this.dataAt + this.record.readUInt32BE(AT_DATA_BYTES);
  }
}

/** Revision of a tombstone: after all others, and a safe integer. EventStoreDB's protocol shows 2^63 - 1. */
export const TOMBSTONE_REVISION = Number.MAX_SAFE_INTEGER;
export const TOMBSTONE_TYPE = '$streamDeleted';

function idText(record: Buffer): string {
  const hex = record.toString('hex', AT_ID, AT_ID + ID_BYTES);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return parts.join('-');
}

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

import { StreamIdentifier, UUID } from '@eventstore/db-client/generated/shared_pb';
import { ReadResp } from '@eventstore/db-client/generated/streams_pb';
import type { Expected } from '../engine/decisions';
import { TOMBSTONE_REVISION, type EngineEvent, type RecordedEvent } from '../engine/record';
import { invalidArgument, metadataMissing } from './errors';
import { originalOf, type ResolvedEvent } from './links';

const JSON_CONTENT = 'application/json';
const BINARY_CONTENT = 'application/octet-stream';
/** .NET counts time in units of 100 ns. */
const TICKS_PER_MILLISECOND = 10_000n;
/** As the protocol shows the revision of a tombstone. */
const TOMBSTONE_ON_WIRE = (2n ** 63n - 1n).toString();
const UINT64_MAX = 2n ** 64n - 1n;

type ProtobufMap = Pick<Map<string, string>, 'get'>;

/** The fields that both kinds of append give of an event. */
interface ProposedMessage {
  getId(): UUID | undefined;
  getMetadataMap(): ProtobufMap;
  getData_asU8(): Uint8Array;
  getCustomMetadata_asU8(): Uint8Array;
}

interface ExpectedOptions {
  hasNoStream(): boolean;
  hasAny(): boolean;
  hasStreamExists(): boolean;
}

/** @throws CallError when absent or not UTF-8 */
export function streamNameOf(identifier: StreamIdentifier | undefined): string {
  if (identifier === undefined) throw invalidArgument('A stream name is required.');
  const bytes = identifier.getStreamName_asU8();
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalidArgument('A stream name is UTF-8.');
  }
}

export function streamIdentifierOf(stream: string): StreamIdentifier {
  return new StreamIdentifier().setStreamName(Buffer.from(stream));
}

/**
 * A revision or position of the protocol, an unsigned 64-bit number that the message classes show as text.
 * What no log can reach becomes the greatest safe integer: beyond everything, which is what it means.
 *
 * @throws CallError when it is no such number
 */
export function numberOf(text: string, what: string): number {
  let value: bigint;
  try {
    value = BigInt(text);
  } catch {
    throw invalidArgument(`Not a ${what}: ${JSON.stringify(text.slice(0, 40))}.`);
  }
  if (value < 0n || value > UINT64_MAX) throw invalidArgument(`A ${what} is not negative.`);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}

/** @param revision the text of the field that holds a number, wherever this message has it */
export function expectedOf(options: ExpectedOptions, revision: () => string | undefined): Expected {
  if (options.hasAny()) return 'any';
  if (options.hasNoStream()) return 'noStream';
  if (options.hasStreamExists()) return 'streamExists';
  const text = revision();
  if (text === undefined) throw invalidArgument('An expected revision is required.');
  return numberOf(text, 'revision');
}

/** @throws CallError when the event has no id, type or content type */
export function engineEventOf(message: ProposedMessage): EngineEvent {
  const properties = message.getMetadataMap();
  const type = properties.get('type');
  if (type === undefined || type === '') throw metadataMissing('type');
  const contentType = properties.get('content-type');
  if (contentType === undefined) throw metadataMissing('content-type');
  return {
    id: uuidText(message.getId()),
    type,
    isJson: contentType === JSON_CONTENT,
    data: message.getData_asU8(),
    metadata: message.getCustomMetadata_asU8(),
  };
}

/** @throws CallError when there is none */
export function uuidText(id: UUID | undefined): string {
  if (id === undefined) throw invalidArgument('An id is required.');
  const structured = id.getStructured();
  if (structured === undefined) return id.getString();
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64BE(BigInt.asIntN(64, BigInt(structured.getMostSignificantBits())), 0);
  bytes.writeBigInt64BE(BigInt.asIntN(64, BigInt(structured.getLeastSignificantBits())), 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function uuidOf(id: string, structured: boolean): UUID {
  if (!structured) return new UUID().setString(id);
  const hex = id.replaceAll('-', '');
  const half = (from: number): string =>
    BigInt.asIntN(64, BigInt(`0x${hex.slice(from, from + 16)}`)).toString();
  const bits = new UUID.Structured().setMostSignificantBits(half(0)).setLeastSignificantBits(half(16));
  return new UUID().setStructured(bits);
}

/** What both kinds of read put a stored event into. */
interface RecordedMessage {
  setId(id: UUID): unknown;
  setStreamIdentifier(identifier: StreamIdentifier): unknown;
  setStreamRevision(revision: string): unknown;
  setCommitPosition(position: string): unknown;
  setPreparePosition(position: string): unknown;
  setData(data: Uint8Array): unknown;
  setCustomMetadata(metadata: Uint8Array): unknown;
  getMetadataMap(): { set(key: string, value: string): unknown };
}

/** @returns the message, with the event in it */
export function record<Message extends RecordedMessage>(
  message: Message,
  event: RecordedEvent,
  structuredIds: boolean,
): Message {
  const position = String(event.position);
  const { revision } = event;
  message.setId(uuidOf(event.id, structuredIds));
  message.setStreamIdentifier(streamIdentifierOf(event.stream));
  message.setStreamRevision(revision === TOMBSTONE_REVISION ? TOMBSTONE_ON_WIRE : String(revision));
  message.setCommitPosition(position);
  message.setPreparePosition(position);
  message.setData(event.data);
  message.setCustomMetadata(event.metadata);
  const properties = message.getMetadataMap();
  properties.set('type', event.type);
  properties.set('content-type', event.isJson ? JSON_CONTENT : BINARY_CONTENT);
  properties.set('created', String(BigInt(Math.floor(event.created)) * TICKS_PER_MILLISECOND));
  return message;
}

/** A stored event as the answer to a read, with the link by which it was found. */
export function eventResponse(found: ResolvedEvent, structuredIds: boolean): ReadResp {
  const { RecordedEvent: Recorded } = ReadResp.ReadEvent;
  const { event, link } = found;
  const resolved = new ReadResp.ReadEvent().setCommitPosition(String(originalOf(found).position));
  if (event !== undefined) resolved.setEvent(record(new Recorded(), event, structuredIds));
  if (link !== undefined) resolved.setLink(record(new Recorded(), link, structuredIds));
  return new ReadResp().setEvent(resolved);
}

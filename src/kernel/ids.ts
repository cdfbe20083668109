declare const brand: unique symbol;
/** A primitive that cannot be passed where another of the same representation is meant. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

export type UserId = Brand<string, 'UserId'>;
/** Chosen by the installation, 1..64 of `A-Za-z0-9_-`; stable over reconnects (PROTOCOL.md section 1). */
export type DeviceId = Brand<string, 'DeviceId'>;
export type ConversationId = Brand<string, 'ConversationId'>;
export type MessageId = Brand<string, 'MessageId'>;
/** Chosen by the sender, 1..64 of `A-Za-z0-9_-`; unique per conversation and sender, for ever. */
export type ClientMessageId = Brand<string, 'ClientMessageId'>;
export type EventId = Brand<string, 'EventId'>;
export type FileId = Brand<string, 'FileId'>;

/**
 * The revision of an event in its conversation's stream, from 0, dense. A number from the event-log port
 * upwards (see docs/adr/0004): revisions stay below 2^53, and JSON, Postgres drivers and maps know numbers.
 */
export type Seq = Brand<number, 'Seq'>;
/** The number of a message among the messages of its conversation, from 1, dense. */
export type Ordinal = Brand<number, 'Ordinal'>;
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Millis = Brand<number, 'Millis'>;

/** Zero-based revision of an event in any stream, as the event store counts. */
export type Revision = Brand<bigint, 'Revision'>;

export const asUserId = (value: string): UserId => value as UserId;
export const asDeviceId = (value: string): DeviceId => value as DeviceId;
export const asConversationId = (value: string): ConversationId => value as ConversationId;
export const asMessageId = (value: string): MessageId => value as MessageId;
export const asClientMessageId = (value: string): ClientMessageId => value as ClientMessageId;
export const asEventId = (value: string): EventId => value as EventId;
export const asFileId = (value: string): FileId => value as FileId;
export const asSeq = (value: number): Seq => value as Seq;
export const asOrdinal = (value: number): Ordinal => value as Ordinal;
export const asMillis = (value: number): Millis => value as Millis;
export const asRevision = (value: bigint): Revision => value as Revision;

export const toRevision = (seq: Seq): Revision => BigInt(seq) as Revision;
export const toSeq = (revision: Revision): Seq => Number(revision) as Seq;
let lastMillis = 0 as Millis;
let lastIso = '1970-01-01T00:00:00.000Z';

/**
 * ISO 8601 in UTC with milliseconds, the only form of time on the wire and in stored events. An event's time is
 * asked for in both forms several times within a turn of the event loop: the last one is remembered.
 */
export function toIso(at: Millis): string {
  if (at !== lastMillis) {
    lastIso = new Date(at).toISOString();
    lastMillis = at;
  }
  return lastIso;
}

/** Inverse of {@link toIso}. */
export function fromIso(iso: string): Millis {
  return iso === lastIso ? lastMillis : (Date.parse(iso) as Millis);
}

import { fromIso, type ConversationId, type Seq } from '../../kernel/ids';
import { CONVERSATION_EVENT_TYPES, type ConversationEvent, type Recorded } from './events';

/** 2: receipts with packed cursors. Everything else has kept the shape it began with. */
type SchemaVersion = 1 | 2;

export const schemaVersionOf = (event: ConversationEvent): SchemaVersion => ('packed' in event ? 2 : 1);

/** Metadata of every stored event (DESIGN.md section 3). */
export interface EventMetadata {
  readonly schemaVersion: SchemaVersion;
  /** Same for all events that one request of a client caused. */
  readonly correlationId: string;
  /** Id of what caused this event: the command, or an event. */
  readonly causationId: string;
  /** W3C trace context, when the request had one. */
  readonly traceparent?: string;
  /** ISO 8601: when it was decided. The `at` of frames. */
  readonly at: string;
  /** SHA-256, hex: previous event's hash, then this event in canonical JSON. The audit chain. */
  readonly hash: string;
}

const TYPES: ReadonlySet<string> = new Set(CONVERSATION_EVENT_TYPES);

/** The stored form: the type beside, the rest as data. */
export function toStored(event: ConversationEvent): { readonly type: string; readonly data: object } {
  const { type, ...data } = event;
  return { type, data };
}

/** Inverse of {@link toStored}; undefined for a type that is none of the conversation's. */
export function fromStored(
  conversationId: ConversationId,
  stored: { readonly type: string; readonly data: unknown; readonly metadata: unknown; readonly seq: Seq },
): Recorded | undefined {
  if (!TYPES.has(stored.type)) return undefined;
  // Written by toStored and brought up to date by the upcasters: the shape is ours.
  const event = { type: stored.type, ...(stored.data as object) } as ConversationEvent;
  return { conversationId, seq: stored.seq, at: fromIso((stored.metadata as EventMetadata).at), event };
}

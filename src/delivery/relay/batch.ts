import {
  asConversationId,
  asMillis,
  asSeq,
  type ConversationId,
  type Seq,
  type UserId,
} from '../../kernel/ids';
import { formatPosition, parsePosition, type Position } from '../../kernel/position';
import type { Form, PlannedEvent, VeryLarge } from '../planned';
import type { Link } from './chain';

/** A conversation's id without its dashes, and a seq. */
export const MOVED_BYTES = 24;
const UUID_BYTES = 16;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const LENGTH_BYTES = 4;

/** An event for one node, and where it stands in its shard. */
export interface RelayedEvent {
  readonly place: Position;
  readonly event: PlannedEvent;
  readonly traceparent: string | undefined;
}

/** What a relay tells a node at once about one shard. */
export interface Batch extends Link {
  readonly shard: number;
  readonly events: readonly RelayedEvent[];
  /** Every event of the shard after `before`, as {@link moved} makes it of each: whoever knows the conversation is behind. */
  readonly moved: Buffer;
}

type Entry = readonly [
  place: string,
  conversationId: string,
  seq: number,
  forms: readonly (readonly [bytes: number, userIds: readonly string[]])[],
  more?: More,
];

/** What few events have. */
interface More {
  readonly sentAt?: number;
  readonly reach?: number;
  readonly traceparent?: string;
  readonly veryLarge?: Omit<VeryLarge, 'members'> & { readonly members: readonly string[] };
}

interface Head {
  readonly shard: number;
  readonly term: number;
  readonly chain: number;
  readonly n: number;
  readonly version: number;
  readonly at: readonly [before: string, taken: string, done: string];
  readonly moved: number;
  readonly events: readonly Entry[];
}

/** An event written for the batch that it goes into: its entry is text, its frames are bytes as they are. */
export interface WrittenEvent {
  readonly entry: string;
  readonly frames: readonly Buffer[];
  readonly bytes: number;
}

export function writeEvent({ place, event, traceparent }: RelayedEvent): WrittenEvent {
  const { conversationId, seq, forms, sentAt, reach, veryLarge } = event;
  const more: More = {
    ...(sentAt === undefined ? {} : { sentAt }),
    ...(reach === undefined ? {} : { reach }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(veryLarge === undefined ? {} : { veryLarge: { ...veryLarge, members: [...veryLarge.members] } }),
  };
  const written: Entry = [
    formatPosition(place),
    conversationId,
    seq,
    forms.map(({ bytes, userIds }) => [bytes.length, userIds] as const),
    more,
  ];
  const entry = JSON.stringify(written);
  const frames = forms.map(({ bytes }) => bytes);
  return { entry, frames, bytes: frames.reduce((sum, { length }) => sum + length, Buffer.byteLength(entry)) };
}

export function writeBatch(
  { shard, term, chain, n, version, before, taken, done, moved }: Omit<Batch, 'events' | 'bytes'>,
  events: readonly WrittenEvent[],
): Buffer {
  const head: Omit<Head, 'events'> = {
    ...{ shard, term, chain, n, version },
    at: [formatPosition(before), formatPosition(taken), formatPosition(done)],
    moved: moved.length,
  };
  // The entries are JSON already.
  const entries = events.map(({ entry }) => entry).join();
  const text = Buffer.from(`${JSON.stringify(head).slice(0, -1)},"events":[${entries}]}`);
  const length = Buffer.allocUnsafe(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, moved, ...events.flatMap(({ frames }) => frames)]);
}

/** Inverse of {@link writeBatch}. @throws SyntaxError, RangeError, TypeError when it is none */
export function readBatch(payload: Buffer): Batch {
  const begin = LENGTH_BYTES + payload.readUInt32BE(0);
  const head = JSON.parse(payload.toString('utf8', LENGTH_BYTES, begin)) as Head;
  const [before, taken, done] = head.at.map(parsePosition);
  if (before === undefined || taken === undefined || done === undefined)
    throw new SyntaxError('no positions');
  for (const number of [head.shard, head.term, head.chain, head.n, head.version, head.moved]) {
    if (!Number.isSafeInteger(number)) throw new SyntaxError('not a batch');
  }
  const frames = new Frames(payload, begin + head.moved);
  const events = head.events.map((entry) => readEvent(entry, frames));
  frames.end();
  const { shard, term, chain, n, version } = head;
  const moved = payload.subarray(begin, begin + head.moved);
  return { shard, term, chain, n, version, before, taken, done, moved, events, bytes: payload.length };
}

/** The frames of all events, one after the other. */
class Frames {
  constructor(
    private readonly payload: Buffer,
    private at: number,
  ) {}

  next(bytes: number): Buffer {
    const from = this.at;
    this.at += bytes;
    return this.payload.subarray(from, this.at);
  }

  end(): void {
    if (this.at !== this.payload.length) throw new RangeError('the batch is not as long as it says');
  }
}

function readEvent([place, conversationId, seq, forms, more = {}]: Entry, frames: Frames): RelayedEvent {
  const { sentAt, reach, traceparent, veryLarge } = more;
  const read: Form[] = forms.map(([bytes, userIds]) => ({
    bytes: frames.next(bytes),
    userIds: userIds as readonly UserId[],
  }));
  return {
    place: parsePosition(place),
    traceparent,
    event: {
      conversationId: asConversationId(conversationId),
      seq: asSeq(seq),
      forms: read,
      sentAt: sentAt === undefined ? undefined : asMillis(sentAt),
      reach,
      veryLarge:
        veryLarge === undefined
          ? undefined
          : { ...veryLarge, members: veryLarge.members as readonly UserId[] },
    },
  };
}

/** undefined: none of our ids, and nobody keeps anything of it. */
export function moved(conversationId: ConversationId, seq: Seq): Buffer | undefined {
  if (!UUID.test(conversationId)) return undefined;
  const bytes = Buffer.allocUnsafe(MOVED_BYTES);
  bytes.write(conversationId.replaceAll('-', ''), 0, UUID_BYTES, 'hex');
  bytes.writeDoubleBE(seq, UUID_BYTES);
  return bytes;
}

/** Inverse of {@link moved}, of all that are in a batch. */
export function forEachMoved(bytes: Buffer, each: (conversationId: ConversationId, seq: Seq) => void): void {
  for (let at = 0; at + MOVED_BYTES <= bytes.length; at += MOVED_BYTES) {
    const hex = bytes.toString('hex', at, at + UUID_BYTES);
    const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    each(asConversationId(id), asSeq(bytes.readDoubleBE(at + UUID_BYTES)));
  }
}

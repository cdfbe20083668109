import type { ConversationId, Seq } from '../kernel/ids';
import { asSeq } from '../kernel/ids';
import type { ServerFrameData } from '../protocol/frames';
import type { ConversationDto } from '../protocol/schemas';
import type { FrameOfKnownSize } from './gap-reader';

/** UTF-8 bytes of the conversations of one `sync.page`; a single larger event makes a page of its own. */
export const SYNC_PAGE_BYTES_MAX = 262_144;
export const SYNC_PAGE_CONVERSATIONS_MAX = 100;
/** Bytes of the fields around a conversation's summary and events. */
const ENTRY_BYTES = 200;

type PageEntry = ServerFrameData<'sync.page'>['conversations'][number];

/** What `sync` answers about one conversation, however many pages it takes. */
export interface SyncEntry {
  readonly conversationId: ConversationId;
  /** null when the user is no member, and while the read models cannot be asked: the device keeps what it has. */
  readonly summary: ConversationDto | null;
  readonly frames: readonly FrameOfKnownSize[];
  readonly from: Seq;
  readonly headSeq: Seq | -1;
  readonly limited: boolean;
  readonly removed: boolean;
}

/**
 * Packs entries into pages of bounded size and sends each when it is full. A conversation is cut only when it
 * alone exceeds a page; its parts follow one another, `headSeq` of each but the last is the seq it brings the
 * device to, and only the first one is `limited`: a device that takes each part for itself is right at any point.
 */
export class SyncPages {
  /** Events handed over so far, over all conversations. */
  events = 0;
  private entries: PageEntry[] = [];
  private bytes = 0;
  /** Conversations whose last part is among `entries`, and up to where the device has them then. */
  private completed: { readonly id: ConversationId; readonly upTo: Seq }[] = [];

  /**
   * @param send resolves when there is room for more
   * @param sent called when everything of a conversation up to `upTo` has been sent
   */
  constructor(
    private readonly send: (entries: PageEntry[]) => Promise<void>,
    private readonly sent: (id: ConversationId, upTo: Seq) => void,
  ) {}

  async add(entry: SyncEntry): Promise<void> {
    this.events += entry.frames.length;
    const overhead = ENTRY_BYTES + (entry.summary === null ? 4 : sizeOf(entry.summary));
    const whole = overhead + entry.frames.reduce((sum, { bytes }) => sum + bytes + 1, 0);
    if (this.bytes + whole > SYNC_PAGE_BYTES_MAX) await this.flush();
    let begin = 0;
    do {
      if (begin > 0) await this.flush();
      const end = this.endOfPart(entry.frames, begin, SYNC_PAGE_BYTES_MAX - this.bytes - overhead);
      this.entries.push(partOf(entry, begin, end));
      this.bytes += overhead;
      for (let n = begin; n < end; n++) this.bytes += (entry.frames[n]?.bytes ?? 0) + 1;
      begin = end;
    } while (begin < entry.frames.length);
    if (entry.headSeq !== -1) this.completed.push({ id: entry.conversationId, upTo: entry.headSeq });
    if (this.entries.length >= SYNC_PAGE_CONVERSATIONS_MAX) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.entries.length === 0) return;
    const { entries, completed } = this;
    this.entries = [];
    this.completed = [];
    this.bytes = 0;
    const sending = this.send(entries);
    // Handed over: from now on it is the socket's, and pushes up to there would repeat it.
    for (const { id, upTo } of completed) this.sent(id, upTo);
    await sending;
  }

  /** As many as fit, but one at least: it was small enough to be appended, so it is small enough to be sent. */
  private endOfPart(frames: readonly FrameOfKnownSize[], begin: number, room: number): number {
    let end = begin;
    let left = room;
    while (end < frames.length) {
      left -= (frames[end]?.bytes ?? 0) + 1;
      if (left < 0 && end > begin) break;
      end++;
    }
    return end;
  }
}

function partOf(entry: SyncEntry, begin: number, end: number): PageEntry {
  const frames = entry.frames.slice(begin, end).map(({ frame }) => frame);
  const isLast = end === entry.frames.length;
  const lastSeq = frames.at(-1)?.data.seq;
  return {
    conversationId: entry.conversationId,
    summary: entry.summary,
    events: frames,
    from: begin === 0 ? entry.from : (frames[0]?.data.seq ?? entry.from),
    headSeq: isLast || lastSeq === undefined ? entry.headSeq : asSeq(lastSeq),
    limited: begin === 0 && entry.limited,
    ...(entry.removed && isLast ? { removed: true as const } : {}),
  };
}

const sizeOf = (value: object): number => Buffer.byteLength(JSON.stringify(value));

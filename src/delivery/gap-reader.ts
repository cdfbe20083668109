import { Injectable } from '@nestjs/common';
import { EventLog } from '../application/ports/event-log';
import type { Recorded } from '../domain/conversation/events';
import { conversationStream } from '../domain/conversation/streams';
import { asSeq, toRevision, type ConversationId, type Seq } from '../kernel/ids';
import type { EventFrame } from '../protocol/events';
import { decode } from './audiences';
import { toEventFrame } from './event-frame';
import { Limiter } from './limiter';
import type { Segment } from './sync-plan';

/** Events of one read of a stream. */
const GAP_PAGE_EVENTS = 256;
/** Events looked at for one conversation, visible or not: receipts of large groups are mostly somebody else's. */
export const GAP_SCAN_EVENTS_MAX = 8_192;
/** Bytes of frames gathered for one conversation: what a slow device can make this node hold. */
export const GAP_BYTES_MAX = 1_048_576;
/** Reads of streams for all devices of this node at once. */
const GAP_READS_MAX = 64;

export interface FrameOfKnownSize {
  readonly frame: EventFrame;
  /** UTF-8, as JSON. */
  readonly bytes: number;
}

interface GapEvents {
  /** Ascending by seq. */
  readonly frames: readonly FrameOfKnownSize[];
  /** Seq of the oldest event looked at: whatever is visible from here on is among `frames`. */
  readonly from: Seq | undefined;
  /** Older ones were left out: more than asked for, past a bound above, or no longer in the log. */
  readonly limited: boolean;
}

interface GapRequest {
  readonly conversationId: ConversationId;
  /** Newest first. */
  readonly segments: readonly Segment[];
  /** Most events to give. */
  readonly window: number;
  /**
   * The event as the device is to see it; undefined: not at all. Called for every event once, newest first.
   */
  readonly see: (recorded: Recorded) => Recorded | undefined;
}

/** Reads what a device misses of a conversation from its stream, newest first, within bounds. */
@Injectable()
export class GapReader {
  private readonly limiter = new Limiter(GAP_READS_MAX);

  constructor(private readonly log: EventLog) {}

  /** undefined: there is no such stream (any more). @throws EventLogUnavailable */
  async read(request: GapRequest): Promise<GapEvents | undefined> {
    const gathering = new Gathering(request);
    for (const { low, high } of request.segments) {
      let next: number = high;
      while (next >= low && !gathering.isFull()) {
        const limit = Math.min(GAP_PAGE_EVENTS, next - low + 1);
        const from = toRevision(asSeq(next));
        const stream = conversationStream(request.conversationId);
        const read = await this.limiter.run(() =>
          this.log.readStream(stream, { direction: 'backwards', from, limit }),
        );
        if (read.kind !== 'events') return undefined;
        for (const event of read.events) {
          if (!gathering.isFull()) gathering.add(decode(request.conversationId, event));
        }
        next -= read.events.length;
        if (read.events.length < limit && next >= low) gathering.truncate();
      }
    }
    return gathering.result();
  }

  /** The newest event's seq; undefined: there is no such stream (any more). @throws EventLogUnavailable */
  async head(id: ConversationId): Promise<Seq | undefined> {
    const read = await this.limiter.run(() =>
      this.log.readStream(conversationStream(id), { direction: 'backwards', limit: 1 }),
    );
    const event = read.kind === 'events' ? read.events[0] : undefined;
    return event === undefined ? undefined : decode(id, event).seq;
  }
}

/** The events found so far, newest first, and whether one more would be too many. */
class Gathering {
  private full = false;
  private readonly frames: FrameOfKnownSize[] = [];
  private bytes = 0;
  private scanned = 0;
  private from: Seq | undefined;

  constructor(private readonly request: GapRequest) {}

  /** Nothing older is to be looked at. */
  isFull(): boolean {
    return this.full;
  }

  add({ seq, recorded }: { readonly seq: Seq; readonly recorded: Recorded | undefined }): void {
    if (this.scanned >= GAP_SCAN_EVENTS_MAX) {
      this.full = true;
      return;
    }
    const seen = recorded === undefined ? undefined : this.request.see(recorded);
    if (seen !== undefined) {
      const frame = toEventFrame(seen);
      const bytes = Buffer.byteLength(JSON.stringify(frame));
      const fits = this.frames.length === 0 || this.bytes + bytes <= GAP_BYTES_MAX;
      if (this.frames.length >= this.request.window || !fits) {
        this.full = true;
        return;
      }
      this.frames.push({ frame, bytes });
      this.bytes += bytes;
    }
    this.scanned++;
    this.from = seq;
  }

  /** The stream begins later than the gap: what came before is gone, and the device is told that it is. */
  truncate(): void {
    this.full = true;
  }

  result(): GapEvents {
    return { frames: this.frames.reverse(), from: this.from, limited: this.full };
  }
}

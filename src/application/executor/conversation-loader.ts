import { fromStored, type EventMetadata } from '../../domain/conversation/codec';
import { evolve } from '../../domain/conversation/evolve';
import { fromSnapshot } from '../../domain/conversation/snapshot';
import { conversationStream, snapshotStream } from '../../domain/conversation/streams';
import { asSeq, toRevision, toSeq, type ConversationId, type EventId } from '../../kernel/ids';
import type { Position } from '../../kernel/position';
import { READ_EVENTS_MAX, type EventLog, type LogEvent } from '../ports/event-log';
import { StoreUnavailable } from '../ports/store-unavailable';
import { headOf, UNSTARTED, type Warm } from './warm';

/**
 * The stream holds what this version cannot fold: an event of an unknown type (written by a newer version), or
 * a hole. Going on would hand out wrong seqs and memberships, so the conversation is out of service on this
 * node, loudly; others are not touched, and a newer node can serve it.
 */
export class UnreadableConversation extends StoreUnavailable {}

export interface Refreshed {
  readonly warm: Warm;
  /** Position of the event that was watched for, when it was among those read. */
  readonly position: Position | undefined;
}

/** Reads conversations from the log: the last snapshot and what came after it. */
export class ConversationLoader {
  constructor(private readonly log: EventLog) {}

  /** @throws StoreUnavailable, EventLogUnavailable, {@link UnreadableConversation} */
  async load(id: ConversationId): Promise<Warm> {
    const snapshot = await this.snapshot(id);
    if (snapshot !== undefined) {
      const warm = await this.tailOf(id, snapshot);
      if (warm !== undefined) return warm;
    }
    return (await this.refresh(id, UNSTARTED)).warm;
  }

  /**
   * Folds what was appended after `warm`.
   *
   * @param watched an event's id: the result tells its position when it is among what was appended
   * @throws StoreUnavailable, EventLogUnavailable, {@link UnreadableConversation}
   */
  async refresh(id: ConversationId, from: Warm, watched?: EventId): Promise<Refreshed> {
    let warm = from;
    let position: Position | undefined;
    for (;;) {
      const page = await this.page(id, headOf(warm) + 1);
      for (const event of page.events) {
        warm = follow(id, warm, event);
        if (event.id === watched) position = event.position;
      }
      if (!page.more) return { warm, position };
    }
  }

  private async snapshot(id: ConversationId): Promise<Warm | undefined> {
    const read = await this.log.readStream(snapshotStream(id), { direction: 'backwards', limit: 1 });
    const stored = read.kind === 'events' ? fromSnapshot(read.events[0]?.data) : undefined;
    return stored && { state: stored.state, hash: stored.hash, snapshotSeq: stored.state.head };
  }

  /**
   * The conversation from its snapshot on; undefined when the snapshot is not one of this stream. The read
   * begins with the snapshot's own event: its hash proves, at no further cost, that both tell the same story.
   */
  private async tailOf(id: ConversationId, snapshot: Warm): Promise<Warm | undefined> {
    const { events, more } = await this.page(id, headOf(snapshot));
    const [own, ...tail] = events;
    if (own === undefined || Number(own.revision) !== headOf(snapshot)) return undefined;
    if ((own.metadata as EventMetadata).hash !== snapshot.hash) return undefined;
    let warm = snapshot;
    for (const event of tail) warm = follow(id, warm, event);
    return more ? (await this.refresh(id, warm)).warm : warm;
  }

  private async page(
    id: ConversationId,
    from: number,
  ): Promise<{ readonly events: readonly LogEvent[]; readonly more: boolean }> {
    const options = { from: toRevision(asSeq(from)), limit: READ_EVENTS_MAX };
    const read = await this.log.readStream(conversationStream(id), options);
    // A deleted conversation is one that does not exist; appending to it is refused by the log.
    return read.kind === 'events' ? read : { events: [], more: false };
  }
}

/** The conversation after one more stored event. @throws UnreadableConversation */
export function follow(id: ConversationId, warm: Warm, stored: LogEvent): Warm {
  const seq = toSeq(stored.revision);
  const expected = headOf(warm) + 1;
  if (seq !== expected) {
    throw new UnreadableConversation(`conversation ${id}: event ${expected} is missing, next is ${seq}`);
  }
  const recorded = fromStored(id, { ...stored, seq });
  if (recorded === undefined) {
    throw new UnreadableConversation(`conversation ${id}: unknown event type ${stored.type} at ${seq}`);
  }
  const { hash } = stored.metadata as EventMetadata;
  return { state: evolve(warm.state, recorded), hash, snapshotSeq: warm.snapshotSeq };
}

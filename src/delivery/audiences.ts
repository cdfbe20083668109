import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { EventLog, type LogEvent } from '../application/ports/event-log';
import { audienceOf, evolveAudience, type Audience } from '../domain/conversation/audience';
import { fromStored, type EventMetadata } from '../domain/conversation/codec';
import type { Recorded } from '../domain/conversation/events';
import { fromSnapshot } from '../domain/conversation/snapshot';
import { conversationStream, snapshotStream } from '../domain/conversation/streams';
import { asOrdinal, asSeq, toRevision, toSeq, type ConversationId, type Seq } from '../kernel/ids';
import { shardOf, type Position } from '../kernel/position';

/** Members over all audiences that are kept: about 100 MB when every group is large. */
export const AUDIENCE_MEMBERS_MAX = 1_000_000;
/** Events of one read while an audience is loaded. */
export const AUDIENCE_PAGE_EVENTS = 1_024;

/** The stream does not hold what an audience has to be folded from. */
export class AudienceLost extends Error {
  override readonly name = 'AudienceLost';
}

/**
 * Who was a member of a conversation at the revision the feed stands at. Never taken from the executor, whose state
 * may already be ahead: with it, a member removed at n+1 would miss n, and one who joined there would get it.
 */
@Injectable()
export class Audiences {
  /** By shard, because a node may stop following one of them. */
  private readonly caches: LRUCache<ConversationId, Audience>[] = [];

  constructor(private readonly log: EventLog) {}

  /** As of the event this node handled last, when that is remembered. */
  get(id: ConversationId, shard = 0): Audience | undefined {
    return this.caches[shard]?.get(id);
  }

  set(audience: Audience, shard = 0): void {
    const cache = (this.caches[shard] ??= new LRUCache({
      maxSize: Math.max(1, Math.floor(AUDIENCE_MEMBERS_MAX / this.log.shards)),
      sizeCalculation: ({ members }) => members.size + 1,
    }));
    cache.set(audience.conversationId, audience);
  }

  forget(id: ConversationId, shard = 0): void {
    this.caches[shard]?.delete(id);
  }

  /** Nothing of the shard is handled here any more: what is remembered of it grows old. */
  forgetShard(shard: number): void {
    this.caches[shard]?.clear();
  }

  /**
   * The audience exactly at `seq`, which the stream must already hold; undefined before the first event. From
   * the snapshot and the events between it and `seq`, on whichever side of it the snapshot lies.
   *
   * @throws AudienceLost, EventLogUnavailable
   */
  async load(id: ConversationId, seq: Seq | -1): Promise<Audience | undefined> {
    if (seq === -1) return undefined;
    const snapshot = await this.snapshot(id);
    if (snapshot !== undefined && snapshot.seq > seq) return this.undo(snapshot, seq);
    let audience = snapshot;
    for await (const event of this.read(id, asSeq((snapshot?.seq ?? -1) + 1), seq)) {
      audience = advance(audience, event);
    }
    if (audience?.seq !== seq) throw new AudienceLost(`conversation ${id} has no event ${seq}`);
    return audience;
  }

  /** The stored events from `from` to `to`, both included, in pages. @throws AudienceLost when one is missing. */
  async *read(id: ConversationId, from: Seq, to: Seq): AsyncGenerator<FeedEvent> {
    let next: number = from;
    while (next <= to) {
      const read = await this.log.readStream(conversationStream(id), {
        from: toRevision(asSeq(next)),
        limit: Math.min(AUDIENCE_PAGE_EVENTS, to - next + 1),
      });
      const events = read.kind === 'events' ? read.events : [];
      if (events[0]?.revision !== toRevision(asSeq(next))) {
        throw new AudienceLost(`conversation ${id} has no event ${next}`);
      }
      for (const event of events) yield decode(id, event);
      next += events.length;
    }
  }

  /**
   * Takes memberships and messages back, newest first, so that a snapshot that is a little ahead costs what lies between
   * and not the whole stream. Exact because the log holds a joining only of somebody who was no member, and a
   * leaving only of a member.
   */
  private async undo(ahead: Audience, seq: Seq): Promise<Audience> {
    const later: Recorded[] = [];
    let messages = 0;
    for await (const { recorded } of this.read(ahead.conversationId, asSeq(seq + 1), ahead.seq)) {
      if (recorded?.event.type === 'MembershipChanged') later.push(recorded);
      if (recorded?.event.type === 'MessageSent') messages++;
    }
    const members = ahead.members.withMutations((set) => {
      for (const { event } of later.reverse()) {
        if (event.type !== 'MembershipChanged') continue;
        if (event.change === 'joined') set.delete(event.userId);
        if (event.change === 'left' || event.change === 'removed') set.add(event.userId);
      }
    });
    return { ...ahead, members, lastOrdinal: asOrdinal(ahead.lastOrdinal - messages), seq };
  }

  private async snapshot(id: ConversationId): Promise<Audience | undefined> {
    const read = await this.log.readStream(snapshotStream(id), { direction: 'backwards', limit: 1 });
    const event = read.kind === 'events' ? read.events[0] : undefined;
    const stored = event === undefined ? undefined : fromSnapshot(event.data);
    return stored === undefined ? undefined : audienceOf(stored.state);
  }
}

/** An event of a conversation in the feed; `recorded` is undefined for a type of a newer version than ours. */
export interface FeedEvent {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
  readonly position: Position;
  /** Of the log, from 0; that of the position. */
  readonly shard: number;
  readonly recorded: Recorded | undefined;
  /** Of what caused it, when that was traced. */
  readonly traceparent: string | undefined;
}

/** Decodes a stored event of a conversation. */
export function decode(conversationId: ConversationId, event: LogEvent): FeedEvent {
  const seq = toSeq(event.revision);
  const { type, data, metadata } = event;
  const recorded = fromStored(conversationId, { type, data, metadata, seq });
  // Under our prefix others may write, too, with metadata of their own or none.
  const traceparent: unknown = (metadata as Partial<EventMetadata> | undefined)?.traceparent;
  return {
    conversationId,
    seq,
    position: event.position,
    shard: shardOf(event.position),
    recorded,
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
  };
}

/** The audience after the next event; one of an unknown type cannot change it. */
export function advance(before: Audience | undefined, { seq, recorded }: FeedEvent): Audience | undefined {
  if (recorded !== undefined) return evolveAudience(before, recorded);
  return before === undefined ? undefined : { ...before, seq };
}

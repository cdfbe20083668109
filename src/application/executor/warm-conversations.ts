import { LRUCache } from 'lru-cache';
import type { EventMetadata } from '../../domain/conversation/codec';
import { conversationOfStream } from '../../domain/conversation/streams';
import { toSeq, type ConversationId, type EventId, type Seq } from '../../kernel/ids';
import type { LogEvent } from '../ports/event-log';
import {
  follow,
  UnreadableConversation,
  type ConversationLoader,
  type Refreshed,
} from './conversation-loader';
import { headOf, type Warm } from './warm';

/** Conversations whose state this process keeps; a state is some kilobytes, in a full group some hundreds. */
export const STATES_MAX = 10_000;

interface Noted {
  /** The highest seq that the node's feed has told of. */
  observed: number;
}

/** Observed past the head: `warm` is behind and is refreshed before it is used. */
interface Entry extends Noted {
  warm: Warm;
}

interface Loading extends Noted {
  readonly warm: Promise<Warm>;
}

/**
 * The states that are kept warm. They are brought forward by this process's own appends and by the node's feed,
 * which tells of what other nodes append; both may tell of the same event, in any order.
 */
export class WarmConversations {
  private readonly entries: LRUCache<ConversationId, Entry>;
  private readonly loading = new Map<ConversationId, Loading>();
  private readonly appending = new Map<ConversationId, Noted>();

  constructor(
    private readonly loader: ConversationLoader,
    statesMax: number = STATES_MAX,
  ) {
    this.entries = new LRUCache({ max: statesMax });
  }

  /** Number of states kept. */
  get size(): number {
    return this.entries.size;
  }

  /** What is known without asking the log; undefined: nothing, or it is known to be behind. */
  peek(id: ConversationId): Warm | undefined {
    const entry = this.entries.get(id);
    return entry === undefined || entry.observed > headOf(entry.warm) ? undefined : entry.warm;
  }

  /**
   * The conversation as the log has it; only one read of it is under way at a time, whoever asks.
   *
   * @throws StoreUnavailable, EventLogUnavailable
   */
  async fetch(id: ConversationId): Promise<Warm> {
    const running = this.loading.get(id);
    if (running !== undefined) return running.warm;
    const known = this.entries.get(id);
    // What was observed before is in the log, or the feed was wrong: this read tells, once.
    if (known !== undefined) known.observed = -1;
    const loading: Loading = {
      observed: -1,
      warm: known === undefined ? this.loader.load(id) : this.refreshed(id, known.warm),
    };
    this.loading.set(id, loading);
    try {
      const warm = await loading.warm;
      this.keep(id, warm);
      if (loading.observed > headOf(warm)) return (await this.refresh(id, warm)).warm;
      return warm;
    } catch (error) {
      this.forget(id);
      throw error;
    } finally {
      this.loading.delete(id);
    }
  }

  /**
   * What was appended after `from`, kept as the new state.
   *
   * @throws StoreUnavailable, EventLogUnavailable; the state is then forgotten, for nobody knows how it stands
   */
  async refresh(id: ConversationId, from: Warm, watched?: EventId): Promise<Refreshed> {
    try {
      const refreshed = await this.loader.refresh(id, from, watched);
      this.keep(id, refreshed.warm);
      return refreshed;
    } catch (error) {
      this.forget(id);
      throw error;
    }
  }

  /** Takes over a newer state. One that does not exist is not kept: made-up ids must not push out real ones. */
  keep(id: ConversationId, warm: Warm): void {
    if (warm.state === undefined) return;
    const entry = this.entries.get(id);
    if (entry === undefined) this.entries.set(id, { warm, observed: -1 });
    else if (headOf(warm) >= headOf(entry.warm)) entry.warm = warm;
  }

  forget(id: ConversationId): void {
    this.entries.delete(id);
  }

  /**
   * Until {@link endAppend} a lane brings the state forward. The feed tells of the same events, often sooner, and
   * they are only noted: otherwise each would be evolved twice.
   */
  beginAppend(id: ConversationId): void {
    this.appending.set(id, { observed: -1 });
  }

  endAppend(id: ConversationId): void {
    const noted = this.appending.get(id);
    this.appending.delete(id);
    const entry = this.entries.peek(id);
    if (noted !== undefined && entry !== undefined) note(entry, noted.observed);
  }

  /** See Executor.observe. */
  observe(event: LogEvent): void {
    const id = conversationOfStream(event.stream);
    if (id === undefined) return;
    const seq = toSeq(event.revision);
    const loading = this.loading.get(id);
    if (loading !== undefined) note(loading, seq);
    const appending = this.appending.get(id);
    if (appending !== undefined) {
      note(appending, seq);
      return;
    }
    const entry = this.entries.peek(id);
    if (entry === undefined) return;
    const head = headOf(entry.warm);
    if (seq === head && (event.metadata as EventMetadata).hash !== entry.warm.hash) {
      // The log tells another story than this process remembers, as after a restored backup.
      this.forget(id);
      return;
    }
    note(entry, seq);
    if (seq === head + 1) this.advance(id, entry, event);
  }

  /** See Executor.hear. */
  hear(id: ConversationId, seq: Seq): void {
    const loading = this.loading.get(id);
    if (loading !== undefined) note(loading, seq);
    const entry = this.appending.get(id) ?? this.entries.peek(id);
    if (entry !== undefined) note(entry, seq);
  }

  private advance(id: ConversationId, entry: Entry, event: LogEvent): void {
    try {
      entry.warm = follow(id, entry.warm, event);
    } catch (error) {
      this.forget(id);
      // The next command loads the stream, meets the event again, and reports it to whoever asked.
      if (!(error instanceof UnreadableConversation)) throw error;
    }
  }

  private async refreshed(id: ConversationId, from: Warm): Promise<Warm> {
    return (await this.loader.refresh(id, from)).warm;
  }
}

function note(noted: Noted, seq: number): void {
  if (seq > noted.observed) noted.observed = seq;
}

import type { EventFrame } from '../src/protocol/events';
import type { ClientFrameData, ServerFrame, ServerFrameData } from '../src/protocol/frames';
import { ConnectionLost, isRetryable, ParleyError } from './errors';
import type { CursorState } from './stores';

/** Pushes held while a sync runs, over all conversations; beyond it a conversation is synced once more. */
export const HELD_MAX = 10_000;
export const SYNC_RETRY_MS = 1_000;
/** Conversations that were left and are remembered, the latest of them. */
export const LEFT_MAX = 1_000;

export type SyncedConversation = ServerFrameData<'sync.page'>['conversations'][number];

export interface SynchronizerIo {
  sync(data: ClientFrameData<'sync'>, page: (frame: ServerFrame) => void): Promise<ServerFrame>;
  /** Once per event, with rising seq within its conversation. `page`: a sync's, whose end is told by `page`. */
  event(frame: EventFrame, from: 'push' | 'page'): void;
  /** Handed over before, of a conversation that was left since and is joined again: to be shown, not told. */
  again(frame: EventFrame): void;
  /** Comes before the events it is about: what lies between the cursor and `from` is not sent. */
  limited(conversation: Pick<SyncedConversation, 'conversationId' | 'from' | 'headSeq'>): void;
  /** Comes after the page's events. */
  page(conversation: SyncedConversation): void;
  epochChanged(epoch: string | undefined): void;
  synced(): void;
  /** The server does not accept our cursors, and not even none. */
  failed(error: unknown): void;
}

export interface SynchronizerOptions {
  readonly recent?: number | undefined;
  readonly window?: number | undefined;
}

/**
 * Puts what a sync answers and what is pushed meanwhile into one rising row per conversation. `seen` is both
 * the cursor and the filter against doubles: the server promises rising seqs, so a hole in a live push is an
 * event not meant for this device, never a loss (PROTOCOL.md section 3, push order).
 */
export class Synchronizer {
  private phase: 'offline' | 'syncing' | 'live' = 'offline';
  private epoch: string | undefined;
  private seen = new Map<string, number>();
  private readonly gone = new Set<string>();
  /**
   * Of `gone`, those that turned out to be ours again, with the answer that said so: they are asked for as unknown, so
   * that all can be shown. A server that knows of them only by our cursor does not answer that.
   */
  private readonly back = new Map<string, SyncedConversation[]>();
  /** Of `gone`, those that this sync answers: no longer gone when all of the answer is here. */
  private readonly returned = new Set<string>();
  /**
   * Conversations that are owed a summary: the server could not tell it, and something was left out of which only
   * the summary tells. Their cursors are sent one lower, so that a sync answers although nothing may have moved.
   */
  private readonly unsummarised = new Set<string>();
  private readonly held = new Map<string, EventFrame[]>();
  private heldCount = 0;
  private again = false;
  private round = 0;
  private cursorsMax = Infinity;
  /** This round's first page may say that the epoch changed; cursors are dropped once for it. */
  private roundKnowsEpoch = false;

  constructor(
    private readonly io: SynchronizerIo,
    private readonly options: SynchronizerOptions = {},
  ) {}

  restore(state: CursorState): void {
    this.epoch = state.epoch;
    const left = Object.entries(state.left ?? {});
    this.seen = new Map([...left, ...Object.entries(state.cursors)]);
    for (const [id] of left) this.gone.add(id);
  }

  state(): CursorState {
    const cursors: Record<string, number> = {};
    const left: Record<string, number> = {};
    for (const [id, seq] of this.seen) (this.gone.has(id) ? left : cursors)[id] = seq;
    return { epoch: this.epoch, cursors, ...(Object.keys(left).length === 0 ? {} : { left }) };
  }

  /** The socket is live: pushes may come from now on, and what came before is asked for. */
  begin(epoch: string, cursorsMax: number): void {
    this.cursorsMax = cursorsMax;
    this.adopt(epoch);
    this.start();
  }

  /** The server dropped pushes for a slow reader. */
  resync(): void {
    if (this.phase === 'live') this.start();
    else this.again = true;
  }

  /** The conversation's summary is needed, whether or not anything moves. `now`: or else with the next sync. */
  summaryNeeded(conversationId: string, { now }: { readonly now: boolean }): void {
    if (this.unsummarised.has(conversationId)) return;
    this.unsummarised.add(conversationId);
    if (now) this.resync();
  }

  /** The socket is gone; what was held comes again with the next sync. */
  lost(): void {
    this.phase = 'offline';
    this.round += 1;
    this.back.clear();
    this.releaseAll(() => undefined);
  }

  /** We left or were removed: what follows a new joining comes by sync. */
  forget(conversationId: string): void {
    // Deleted first, so that the set stays in the order of leaving.
    this.gone.delete(conversationId);
    this.gone.add(conversationId);
    this.back.delete(conversationId);
    this.unsummarised.delete(conversationId);
    this.returned.delete(conversationId);
    for (const id of this.gone) {
      if (this.gone.size <= LEFT_MAX) break;
      this.gone.delete(id);
      this.seen.delete(id);
    }
  }

  push(frame: EventFrame): void {
    const { conversationId, seq } = frame.data;
    const seen = this.seen.get(conversationId);
    const known = seen !== undefined && !this.gone.has(conversationId);
    if (seen !== undefined && seq <= seen) return;
    if (known && (this.phase === 'live' || seq === seen + 1)) {
      // Next in line, whatever the sync will say: it need not wait for a slow read model.
      this.accept(frame);
      this.drainHeld(conversationId);
    } else if (this.phase === 'live' && frame.event === 'conversation.started') {
      this.accept(frame);
    } else {
      this.hold(frame);
      // Somebody added us to a conversation we know nothing of: its title and members come by sync.
      if (this.phase === 'live') this.start();
    }
  }

  private start(): void {
    this.phase = 'syncing';
    this.again = false;
    const round = ++this.round;
    this.run(round).catch((error: unknown) => {
      if (round === this.round && !(error instanceof ConnectionLost)) this.io.failed(error);
    });
  }

  private async run(round: number): Promise<void> {
    let cursorsDropped = false;
    const asked = new Set<string>();
    do {
      this.again = false;
      this.roundKnowsEpoch = false;
      this.returned.clear();
      const asksAgain = new Set(this.back.keys());
      try {
        const done = await this.io.sync(this.request(), (frame) => {
          if (round === this.round && frame.event === 'sync.page') this.page(frame.data, asksAgain);
        });
        if (round !== this.round) return;
        for (const [id, answer] of [...this.back]) {
          if (!asksAgain.has(id) || this.returned.has(id)) continue;
          for (const conversation of answer) this.take(conversation);
          // It may have been only the beginning of an answer that failed.
          this.again = true;
        }
        for (const id of this.returned) {
          this.gone.delete(id);
          this.back.delete(id);
        }
        if (done.event === 'sync.done') this.adopt(done.data.epoch);
      } catch (error) {
        if (round !== this.round || error instanceof ConnectionLost) return;
        if (isRetryable(error)) await pause((error as ParleyError).retryAfterMs ?? SYNC_RETRY_MS);
        else if (cursorsDropped) throw error;
        else cursorsDropped = this.dropCursors();
        this.again = true;
      }
    } while (round === this.round && (this.again || this.holdsStranger(asked)));
    if (round !== this.round) return;
    this.phase = 'live';
    this.releaseAll((frame) => {
      this.acceptUnanswered(frame);
    });
    this.io.synced();
  }

  private request(): ClientFrameData<'sync'> {
    const { epoch, cursors, left } = this.state();
    // What was left has a cursor, too, or every sync would tell of it again.
    const known = Object.entries({ ...left, ...cursors }).filter(([id]) => !this.back.has(id));
    // The newest entries of the map moved last; older ones beyond the limit come back as if never seen.
    const entries = known.map(([id, seq]): [string, number] => {
      return [id, this.unsummarised.has(id) ? Math.max(0, seq - 1) : seq];
    });
    const { recent, window } = this.options;
    return {
      ...(epoch === undefined ? {} : { epoch }),
      cursors: Object.fromEntries(
        entries.length > this.cursorsMax ? entries.slice(entries.length - this.cursorsMax) : entries,
      ),
      ...(recent === undefined ? {} : { recent }),
      ...(window === undefined ? {} : { window }),
    };
  }

  private page(page: ServerFrameData<'sync.page'>, asksAgain: ReadonlySet<string>): void {
    if (page.epochChanged === true && !this.roundKnowsEpoch) {
      this.roundKnowsEpoch = true;
      this.dropCursors();
      this.io.epochChanged(undefined);
    }
    for (const conversation of page.conversations) {
      const { conversationId, removed } = conversation;
      const isBack = removed !== true && this.gone.has(conversationId) && !asksAgain.has(conversationId);
      if (isBack) this.keepBack(conversation);
      else this.take(conversation);
    }
  }

  private take(conversation: SyncedConversation): void {
    const { conversationId, summary, removed, limited, events } = conversation;
    if (summary !== null) this.unsummarised.delete(conversationId);
    else if (removed !== true && (limited || this.gone.has(conversationId)))
      this.unsummarised.add(conversationId);
    if (limited) this.io.limited(conversation);
    for (const frame of events) this.acceptPaged(frame as EventFrame);
    if (removed === true) this.forget(conversationId);
    else if (this.gone.has(conversationId)) this.returned.add(conversationId);
    this.io.page(conversation);
  }

  /** We left it and are in it again: what was shown before is to be shown again, before what is new. */
  private keepBack(conversation: SyncedConversation): void {
    const { conversationId } = conversation;
    this.back.set(conversationId, [...(this.back.get(conversationId) ?? []), conversation]);
    this.again = true;
  }

  /**
   * While the read models are away, a sync cannot know of conversations that have no cursor. Their pushes are not
   * kept waiting for it, and that something may lie before them is told, never passed over.
   */
  private acceptUnanswered(frame: EventFrame): void {
    const { conversationId, seq } = frame.data;
    const seen = this.seen.get(conversationId);
    const isKnown = seen !== undefined && !this.gone.has(conversationId);
    if (!isKnown && seq > (seen ?? -1) + 1 && !this.unsummarised.has(conversationId)) {
      this.unsummarised.add(conversationId);
      this.io.limited({ conversationId, from: seq, headSeq: seq });
    }
    this.accept(frame);
  }

  private acceptPaged(frame: EventFrame): void {
    const { conversationId, seq } = frame.data;
    const isKnown = seq <= (this.seen.get(conversationId) ?? -1);
    if (isKnown && this.gone.has(conversationId)) this.io.again(frame);
    else this.accept(frame, 'page');
  }

  private accept(frame: EventFrame, from: 'push' | 'page' = 'push'): void {
    const { conversationId, seq } = frame.data;
    const seen = this.seen.get(conversationId);
    if (seen !== undefined && seq <= seen) return;
    // Deleted first, so that the map stays in the order of last movement.
    this.seen.delete(conversationId);
    this.seen.set(conversationId, seq);
    this.io.event(frame, from);
  }

  private adopt(epoch: string): void {
    if (this.epoch === epoch) return;
    const hadOne = this.epoch !== undefined;
    this.epoch = epoch;
    // The pages of this round came from the new epoch already when they said so.
    if (!hadOne || this.roundKnowsEpoch) return;
    this.dropCursors();
    this.again = true;
    this.io.epochChanged(epoch);
  }

  private dropCursors(): true {
    this.seen.clear();
    this.gone.clear();
    this.back.clear();
    this.unsummarised.clear();
    return true;
  }

  private hold(frame: EventFrame): void {
    const { conversationId } = frame.data;
    if (this.heldCount >= HELD_MAX) {
      this.heldCount -= this.held.get(conversationId)?.length ?? 0;
      this.held.delete(conversationId);
      this.again = true;
      return;
    }
    const frames = this.held.get(conversationId) ?? [];
    frames.push(frame);
    this.held.set(conversationId, frames);
    this.heldCount += 1;
  }

  private drainHeld(conversationId: string): void {
    const frames = this.held.get(conversationId);
    if (frames === undefined) return;
    let first = frames[0];
    while (first !== undefined && first.data.seq <= (this.seen.get(conversationId) ?? -1) + 1) {
      frames.shift();
      this.heldCount -= 1;
      this.accept(first);
      first = frames[0];
    }
    if (first === undefined) this.held.delete(conversationId);
  }

  /**
   * Somebody added us while the sync ran, too late for its answer: title and members come by another one. Once
   * for each, for we may be gone again.
   */
  private holdsStranger(asked: Set<string>): boolean {
    const strangers = [...this.held]
      .filter(([id, frames]) => {
        const isNew = frames[0]?.event === 'conversation.started';
        return !isNew && !asked.has(id) && (!this.seen.has(id) || this.gone.has(id));
      })
      .map(([id]) => id);
    for (const id of strangers) asked.add(id);
    return strangers.length > 0;
  }

  private releaseAll(to: (frame: EventFrame) => void): void {
    const frames = [...this.held.values()].flat();
    this.held.clear();
    this.heldCount = 0;
    frames.forEach(to);
  }
}

const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

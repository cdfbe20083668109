import type { ServerFrameData } from '../src/protocol/frames';
import { ClientStopped, ConnectionLost, isRetryable, OutboxFull, ParleyError } from './errors';
import { LatestWriter, type OutboxEntry, type OutboxStore, type SendData } from './stores';

export const OUTBOX_MAX = 1_000;
export const OUTBOX_RETRY_MS = 1_000;

export type Ack = ServerFrameData<'message.ack'>;

export interface OutboxIo {
  /** Rejects with ParleyError (refused) or ConnectionLost (outcome unknown). */
  send(data: SendData): Promise<Ack>;
  acknowledged(entry: OutboxEntry, ack: Ack): void;
  /** Refused for good: the message will not be sent. */
  refused(entry: OutboxEntry, error: Error): void;
  failed(error: unknown): void;
}

interface Queued {
  readonly entry: OutboxEntry;
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Messages until they are acknowledged. One message per conversation is under way at a time, so that a retry
 * can never fall behind its successor; conversations do not wait for each other. An entry reaches the store
 * before it reaches the wire: after a crash it is sent again under the same key, and stored once.
 */
export class Outbox {
  private queue: Queued[] = [];
  private readonly busy = new Set<string>();
  /** `to` → the direct conversation it turned out to be, so that both names share one lane. */
  private readonly directs = new Map<string, string>();
  private readonly writer: LatestWriter;
  private open = false;
  private pausedUntil = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    store: OutboxStore,
    private readonly io: OutboxIo,
  ) {
    this.writer = new LatestWriter(
      () => store.save(this.queue.map(({ entry }) => entry)),
      (error) => {
        io.failed(error);
      },
    );
  }

  get size(): number {
    return this.queue.length;
  }

  /** Entries of an earlier run go first. */
  restore(entries: readonly OutboxEntry[]): void {
    const ignore = (): void => undefined;
    this.queue = [
      ...entries.slice(0, OUTBOX_MAX).map((entry) => ({ entry, resolve: ignore, reject: ignore })),
      ...this.queue,
    ];
  }

  /** @returns the acknowledgement; rejects with OutboxFull, ParleyError (refused for good), ClientStopped */
  add(entry: OutboxEntry): Promise<Ack> {
    if (this.size >= OUTBOX_MAX) {
      return Promise.reject(new OutboxFull(`${OUTBOX_MAX} messages already wait to be sent`));
    }
    return new Promise((resolve, reject) => {
      this.queue.push({ entry, resolve, reject });
      void this.writer.saved().then(() => {
        this.flush();
      });
    });
  }

  /** The connection is up (or gone): sending may go on (or waits). */
  setOpen(open: boolean): void {
    this.open = open;
    if (open) this.flush();
  }

  /** The client has ended: entries stay in the store, but nobody waits for them any longer. */
  stop(error: ClientStopped): void {
    this.open = false;
    clearTimeout(this.timer);
    for (const { reject } of this.queue) reject(error);
  }

  /** Resolves when the store holds what the queue holds. */
  saved(): Promise<void> {
    return this.writer.saved();
  }

  private flush(): void {
    if (!this.open) return;
    const waitMs = this.pausedUntil - Date.now();
    if (waitMs > 0) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        this.flush();
      }, waitMs);
      return;
    }
    const taken = new Set<string>();
    for (const queued of this.queue) {
      const lane = this.laneOf(queued.entry.data);
      if (taken.has(lane)) continue;
      taken.add(lane);
      if (!this.busy.has(lane)) void this.transmit(queued, lane);
    }
  }

  private async transmit(queued: Queued, lane: string): Promise<void> {
    this.busy.add(lane);
    try {
      const ack = await this.io.send(queued.entry.data);
      if (queued.entry.data.to !== undefined) this.directs.set(queued.entry.data.to, ack.conversationId);
      this.remove(queued);
      this.io.acknowledged(queued.entry, ack);
      queued.resolve(ack);
    } catch (error) {
      this.unsent(queued, error);
    } finally {
      this.busy.delete(lane);
      this.flush();
    }
  }

  private unsent(queued: Queued, error: unknown): void {
    // The next connection sends it again.
    if (error instanceof ConnectionLost) return;
    if (isRetryable(error)) {
      this.pausedUntil = Date.now() + ((error as ParleyError).retryAfterMs ?? OUTBOX_RETRY_MS);
      return;
    }
    const reason = error instanceof Error ? error : new Error(String(error));
    this.remove(queued);
    this.io.refused(queued.entry, reason);
    queued.reject(reason);
  }

  private remove(queued: Queued): void {
    this.queue = this.queue.filter((other) => other !== queued);
    void this.writer.saved();
  }

  private laneOf(data: SendData): string {
    if (data.conversationId !== undefined) return data.conversationId;
    const to = data.to ?? '';
    return this.directs.get(to) ?? to;
  }
}

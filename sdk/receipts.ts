import { isRetryable, ParleyError } from './errors';

/** Conversations in one `delivered` frame: it stays below the limit of a frame. */
export const DELIVERED_CURSORS_MAX = 1_000;
export const RECEIPT_RETRY_MS = 1_000;

export interface ReceiptsIo {
  delivered(cursors: Record<string, number>): Promise<unknown>;
  read(conversationId: string, upTo: number): Promise<unknown>;
  failed(error: unknown): void;
}

/** Takes a value only if it is further than what is there: cursors never go back. */
function advance(cursors: Map<string, number>, id: string, upTo: number): void {
  if (upTo > (cursors.get(id) ?? -1)) cursors.set(id, upTo);
}

/** The conversation was left while its receipt was on the way: nobody needs it any more. */
const isNoLongerMine = (error: unknown): boolean =>
  error instanceof ParleyError && (error.code === 'not_found' || error.code === 'not_a_member');

/**
 * Receipts on their way: gathered for a moment, sent as cursors, kept until the server took them. What a lost
 * connection swallowed is sent again; a cursor sent twice changes nothing.
 */
export class Receipts {
  private readonly delivered = new Map<string, number>();
  private readonly read = new Map<string, number>();
  private open = false;
  private sending = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `windowMs`: how long `delivered` cursors gather. */
  constructor(
    private readonly io: ReceiptsIo,
    private readonly windowMs: number,
  ) {}

  markDelivered(conversationId: string, upTo: number): void {
    advance(this.delivered, conversationId, upTo);
    this.schedule(this.windowMs);
  }

  markRead(conversationId: string, upTo: number): void {
    advance(this.read, conversationId, upTo);
    this.schedule(0);
  }

  forget(conversationId: string): void {
    this.delivered.delete(conversationId);
    this.read.delete(conversationId);
  }

  clear(): void {
    this.delivered.clear();
    this.read.clear();
  }

  setOpen(open: boolean): void {
    this.open = open;
    if (open) this.schedule(0);
    else this.cancel();
  }

  /** Sends what has gathered, now. */
  async flush(): Promise<void> {
    this.cancel();
    if (!this.open || this.sending) return;
    this.sending = true;
    let againMs = 0;
    try {
      await this.flushRead();
      await this.flushDelivered();
    } catch (error) {
      againMs = RECEIPT_RETRY_MS;
      if (!isRetryable(error)) this.io.failed(error);
    }
    this.sending = false;
    if (this.delivered.size + this.read.size > 0) this.schedule(Math.max(againMs, this.windowMs));
  }

  private async flushRead(): Promise<void> {
    for (const [id, upTo] of [...this.read]) {
      await this.settle(this.io.read(id, upTo), this.read, { [id]: upTo });
    }
  }

  private async flushDelivered(): Promise<void> {
    const cursors = Object.fromEntries([...this.delivered].slice(0, DELIVERED_CURSORS_MAX));
    if (Object.keys(cursors).length === 0) return;
    try {
      await this.io.delivered(cursors);
      this.done(this.delivered, cursors);
    } catch (error) {
      if (isRetryable(error)) throw error;
      // A frame is taken or refused as a whole: one conversation that was left must not hold up the others.
      for (const [id, upTo] of Object.entries(cursors)) {
        await this.settle(this.io.delivered({ [id]: upTo }), this.delivered, { [id]: upTo });
      }
    }
  }

  /** A cursor that was taken, or refused for good, is done, unless it moved on meanwhile. */
  private async settle(
    sent: Promise<unknown>,
    from: Map<string, number>,
    cursors: Readonly<Record<string, number>>,
  ): Promise<void> {
    try {
      await sent;
    } catch (error) {
      if (isRetryable(error)) throw error;
      if (!isNoLongerMine(error)) this.io.failed(error);
    }
    this.done(from, cursors);
  }

  private done(from: Map<string, number>, cursors: Readonly<Record<string, number>>): void {
    for (const [id, upTo] of Object.entries(cursors)) if (from.get(id) === upTo) from.delete(id);
  }

  private schedule(delayMs: number): void {
    if (!this.open || (this.timer !== undefined && delayMs > 0)) return;
    this.cancel();
    this.timer = setTimeout(() => {
      void this.flush();
    }, delayMs);
  }

  private cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}

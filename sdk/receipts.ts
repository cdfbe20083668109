import { isRetryable, ParleyError } from './errors';

/** Conversations in one `delivered` frame: it stays below the limit of a frame. */
export const DELIVERED_CURSORS_MAX = 1_000;
export const RECEIPT_RETRY_MS = 1_000;
/** A read cursor that was taken, and is not in the conversation after this time, is sent again. */
export const READ_CONFIRM_MS = 8_000;
/** So often on one connection: a server that knows the cursor already has nothing to say to it. */
export const READ_REPEATS_MAX = 3;

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
  /** Taken by the server, which gathers them for a moment; a node that dies meanwhile forgets them. */
  private readonly unconfirmed = new Map<string, { readonly upTo: number; readonly repeats: number }>();
  /** How far the log is known to have this user's read cursors. */
  private readonly confirmed = new Map<string, number>();
  private open = false;
  private sending = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private confirmTimer: ReturnType<typeof setTimeout> | undefined;

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

  /** The log has this user's read cursor at `upTo`: an event or a summary says so. */
  confirmRead(conversationId: string, upTo: number): void {
    advance(this.confirmed, conversationId, upTo);
    if ((this.unconfirmed.get(conversationId)?.upTo ?? Infinity) <= upTo)
      this.unconfirmed.delete(conversationId);
  }

  forget(conversationId: string): void {
    for (const known of [this.delivered, this.read, this.unconfirmed, this.confirmed])
      known.delete(conversationId);
  }

  clear(): void {
    for (const known of [this.delivered, this.read, this.unconfirmed, this.confirmed]) known.clear();
  }

  setOpen(open: boolean): void {
    this.open = open;
    if (open) {
      for (const [id, { upTo }] of this.unconfirmed) advance(this.read, id, upTo);
      this.unconfirmed.clear();
      this.schedule(0);
    } else {
      this.cancel();
      clearTimeout(this.confirmTimer);
      this.confirmTimer = undefined;
    }
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
      const taken = await this.settle(this.io.read(id, upTo), this.read, { [id]: upTo });
      if (taken) this.awaitConfirmation(id, upTo);
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

  private awaitConfirmation(id: string, upTo: number): void {
    if (upTo <= (this.confirmed.get(id) ?? -1)) return;
    const earlier = this.unconfirmed.get(id);
    // Scrolling back reads what was read already: what has yet to be confirmed is the furthest.
    if (earlier !== undefined && earlier.upTo > upTo) return;
    this.unconfirmed.set(id, { upTo, repeats: earlier?.upTo === upTo ? earlier.repeats : 0 });
    this.confirmLater();
  }

  private confirmLater(): void {
    if (!this.open || this.unconfirmed.size === 0) return;
    this.confirmTimer ??= setTimeout(() => {
      this.confirmTimer = undefined;
      for (const [id, { upTo, repeats }] of this.unconfirmed) {
        if (repeats >= READ_REPEATS_MAX) continue;
        this.unconfirmed.set(id, { upTo, repeats: repeats + 1 });
        advance(this.read, id, upTo);
      }
      if (this.read.size > 0) this.schedule(0);
    }, READ_CONFIRM_MS);
  }

  /** A cursor that was taken, or refused for good, is done, unless it moved on meanwhile. @returns whether taken */
  private async settle(
    sent: Promise<unknown>,
    from: Map<string, number>,
    cursors: Readonly<Record<string, number>>,
  ): Promise<boolean> {
    let taken = true;
    try {
      await sent;
    } catch (error) {
      if (isRetryable(error)) throw error;
      if (!isNoLongerMine(error)) this.io.failed(error);
      taken = false;
    }
    this.done(from, cursors);
    return taken;
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

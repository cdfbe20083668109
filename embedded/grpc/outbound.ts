/** The parts of a gRPC call that a message to the client needs. */
interface OutboundCall<Message> {
  readonly cancelled: boolean;
  write(message: Message): boolean;
  once(event: 'drain' | 'cancelled' | 'close' | 'error', listener: () => void): unknown;
  removeListener(event: 'drain' | 'cancelled' | 'close' | 'error', listener: () => void): unknown;
}

const WAKING = ['drain', 'cancelled', 'close', 'error'] as const;

/**
 * Messages to one client, no faster than it takes them: what a slow one has not taken waits as a position in
 * the log, not as messages in memory. gRPC's own buffer, of a few messages, is all that is held.
 */
export class Outbound<Message> {
  private readonly controller = new AbortController();
  /** Shared by all who wait: appends of one call may be answered at the same time. */
  private waiting: Promise<void> | undefined;

  constructor(private readonly call: OutboundCall<Message>) {
    for (const event of ['cancelled', 'close', 'error'] as const) {
      call.once(event, () => {
        this.controller.abort();
      });
    }
  }

  /** Aborts when the client is gone, or has what it wanted. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get gone(): boolean {
    return this.controller.signal.aborted || this.call.cancelled;
  }

  /** Resolves when the next message may be sent, false when nobody is there to take it. */
  async send(message: Message): Promise<boolean> {
    if (this.gone) return false;
    if (!this.call.write(message)) await this.writable();
    return !this.gone;
  }

  /** Sends at once; a promise when the client must take something before it is to be sent more. */
  offer(message: Message): Promise<void> | undefined {
    if (this.gone || this.call.write(message)) return undefined;
    return this.writable();
  }

  private writable(): Promise<void> {
    this.waiting ??= new Promise<void>((resolve) => {
      const wake = (): void => {
        for (const event of WAKING) this.call.removeListener(event, wake);
        this.waiting = undefined;
        resolve();
      };
      for (const event of WAKING) this.call.once(event, wake);
    });
    return this.waiting;
  }
}

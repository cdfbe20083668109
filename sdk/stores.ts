import type { ClientFrameData } from '../src/protocol/frames';

/** What a device must remember to continue where it was: one seq per conversation, all from one epoch. */
export interface CursorState {
  readonly epoch: string | undefined;
  readonly cursors: Readonly<Record<string, number>>;
  /**
   * The same of conversations that were left: never sent to the server, but whoever is added again is not told
   * twice of what they saw before. Absent: none.
   */
  readonly left?: Readonly<Record<string, number>>;
}

/** Keeps cursors over restarts. `save` replaces what was there and resolves when it will survive a crash. */
export interface CursorStore {
  load(): Promise<CursorState>;
  save(state: CursorState): Promise<void>;
}

export type SendData = ClientFrameData<'message.send'>;

/** A message on its way: the frame's data, with the key that makes its retries one message. */
export interface OutboxEntry {
  readonly data: SendData;
  /** ISO 8601. */
  readonly queuedAt: string;
}

/** Keeps unacknowledged messages over restarts; the list is in order and at most OUTBOX_MAX long. */
export interface OutboxStore {
  load(): Promise<readonly OutboxEntry[]>;
  save(entries: readonly OutboxEntry[]): Promise<void>;
}

export class MemoryCursorStore implements CursorStore {
  constructor(private state: CursorState = { epoch: undefined, cursors: {} }) {}

  load(): Promise<CursorState> {
    return Promise.resolve(this.state);
  }

  save(state: CursorState): Promise<void> {
    this.state = state;
    return Promise.resolve();
  }
}

export class MemoryOutboxStore implements OutboxStore {
  constructor(private entries: readonly OutboxEntry[] = []) {}

  load(): Promise<readonly OutboxEntry[]> {
    return Promise.resolve(this.entries);
  }

  save(entries: readonly OutboxEntry[]): Promise<void> {
    this.entries = entries;
    return Promise.resolve();
  }
}

/**
 * Writes the newest value, one write at a time: values that come while one is being written collapse into the
 * last. `saved` resolves when everything given before the call is stored.
 */
export class LatestWriter {
  private dirty = false;
  private writing: Promise<void> | undefined;

  constructor(
    private readonly write: () => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  saved(): Promise<void> {
    this.dirty = true;
    this.writing ??= this.drain();
    return this.writing;
  }

  private async drain(): Promise<void> {
    while (this.dirty) {
      this.dirty = false;
      // A store that fails must not stop chatting: the device falls back to what memory gives it.
      await this.write().catch(this.failed);
    }
    this.writing = undefined;
  }
}

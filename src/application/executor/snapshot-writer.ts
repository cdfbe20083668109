import { toSnapshot } from '../../domain/conversation/snapshot';
import { snapshotStream } from '../../domain/conversation/streams';
import { asEventId, type ConversationId } from '../../kernel/ids';
import { uuidv7 } from '../../kernel/uuid';
import type { EventLog } from '../ports/event-log';
import { headOf, type Warm } from './warm';

/** Events after which a conversation gets a new snapshot; a cold load folds at most about this many. */
export const SNAPSHOT_EVERY = 500;
/** Snapshots under way at once; more wait for their conversation's next batch. */
export const SNAPSHOTS_AT_ONCE_MAX = 4;

/** Writes snapshots beside the hot path. They save work and hold no truth: a lost one costs a longer load. */
export class SnapshotWriter {
  private readonly writing = new Map<ConversationId, Promise<void>>();

  constructor(private readonly log: EventLog) {}

  /** @returns the same conversation, marked when its snapshot is now being written */
  consider(id: ConversationId, warm: Warm): Warm {
    if (warm.state === undefined || headOf(warm) - warm.snapshotSeq < SNAPSHOT_EVERY) return warm;
    if (this.writing.size >= SNAPSHOTS_AT_ONCE_MAX || this.writing.has(id)) return warm;
    const written = this.write(id, warm).finally(() => this.writing.delete(id));
    this.writing.set(id, written);
    return { ...warm, snapshotSeq: headOf(warm) };
  }

  /** Resolves when none is under way any more. */
  async drain(): Promise<void> {
    await Promise.all(this.writing.values());
  }

  private async write(id: ConversationId, warm: Warm): Promise<void> {
    // The command that crossed the line is answered first.
    await new Promise((resolve) => setImmediate(resolve));
    if (warm.state === undefined) return;
    const stream = snapshotStream(id);
    const data = toSnapshot(warm.state, warm.hash);
    const event = { id: asEventId(uuidv7()), type: 'ConversationSnapshot', data, metadata: {} };
    try {
      if (warm.snapshotSeq === -1) await this.log.setMaxCount(stream, 1);
      await this.log.append(stream, [event], { expected: 'any' });
    } catch {
      // Not worth a word to anybody: a later batch tries again, SNAPSHOT_EVERY events on.
    }
  }
}

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reader } from './reader';
import { TOMBSTONE_TYPE, type RecordedEvent } from './record';
import type { Storage } from './storage';
import type { StreamIndex } from './stream-index';
import { isSoftDeleted } from './stream-state';

const SCANNED_AT_A_TIME = 1_024;

export interface ScavengeResult {
  readonly scanned: number;
  readonly removed: number;
  /** Of records; LMDB uses the pages again, the file does not shrink. */
  readonly removedBytes: number;
}

/**
 * Removes what no read of its stream can reach any more: truncated, too many, too old, or below a tombstone.
 * Revisions and positions stay as they are, so every stream keeps its last event, which carries its revision.
 * Runs beside appends and reads; may be stopped at any time and begun again.
 *
 * @throws EngineError `corrupt`; what the system says when the disk takes no more
 */
export async function scavenge(
  storage: Storage,
  index: StreamIndex,
  reader: Reader,
  signal?: AbortSignal,
): Promise<ScavengeResult> {
  let [scanned, removed, removedBytes] = [0, 0, 0];
  // What the tables do not account for yet would be missed when they are made again from the log.
  const last = index.accountedBefore - 1;
  for (let next = 0; next <= last && signal?.aborted !== true;) {
    const page = [...storage.records(next, last, SCANNED_AT_A_TIME)];
    const gone = page.filter((event) => isUnreachable(event, index, reader));
    if (gone.length > 0) await remove(storage, index, gone);
    scanned += page.length;
    removed += gone.length;
    removedBytes += gone.reduce((sum, { size }) => sum + size, 0);
    next = (page.at(-1)?.position ?? last) + 1;
    await nextTurn();
  }
  return { scanned, removed, removedBytes };
}

function isUnreachable(event: RecordedEvent, index: StreamIndex, reader: Reader): boolean {
  const state = index.find(event.stream);
  if (state === undefined || event.type === TOMBSTONE_TYPE) return false;
  if (state.tombstone !== undefined) return event.revision !== state.head;
  const head = reader.durableHead(state);
  if (event.revision >= head) return false;
  return isSoftDeleted(state) || event.revision < reader.firstReadable(state, head);
}

async function remove(storage: Storage, index: StreamIndex, events: readonly RecordedEvent[]): Promise<void> {
  await storage.commit(() => {
    for (const event of events) {
      const state = index.find(event.stream);
      storage.removeRecord(event.position);
      if (state !== undefined) storage.removeIndex(state.id, event.revision);
    }
  });
}

import type { RecordedEvent } from './record';
import { shortNameOf } from './stream-name';

/** In events of the whole store; about 150 bytes each. */
export const RECENT_IDS_MAX = 50_000;

interface RecentPlace {
  /** By {@link shortNameOf}. */
  readonly stream: string;
  readonly revision: number;
  readonly position: number;
}

/**
 * Ids of the last events, by which a repeated append without an expected revision is recognised. Bounded, as
 * in EventStoreDB: for certain only an expected revision does it. The older half is forgotten at once.
 */
export class RecentIds {
  private newer = new Map<string, RecentPlace>();
  private older = new Map<string, RecentPlace>();

  add({ id, stream, revision, position }: RecordedEvent): void {
    if (this.newer.size >= RECENT_IDS_MAX / 2) {
      this.older = this.newer;
      this.newer = new Map();
    }
    this.newer.set(id, { stream: shortNameOf(stream), revision, position });
  }

  find(id: string): RecentPlace | undefined {
    return this.newer.get(id) ?? this.older.get(id);
  }
}

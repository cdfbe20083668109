import type { RecordedEvent } from './record';

/** In events of the whole store; about 100 bytes each. */
export const RECENT_IDS_MAX = 50_000;

/**
 * Ids of the last events, by which a repeated append without an expected revision is recognised. Bounded, as
 * in EventStoreDB: for certain only an expected revision does it. The older half is forgotten at once.
 */
export class RecentIds {
  private newer = new Map<string, number>();
  private older = new Map<string, number>();

  add({ id, position }: Pick<RecordedEvent, 'id' | 'position'>): void {
    if (this.newer.size >= RECENT_IDS_MAX / 2) {
      this.older = this.newer;
      this.newer = new Map();
    }
    this.newer.set(id, position);
  }

  /** Its position in the log. */
  find(id: string): number | undefined {
    return this.newer.get(id) ?? this.older.get(id);
  }
}

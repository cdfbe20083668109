import type { DeliveredCursor, ReadCursor } from '../domain/conversation/events';
import { deliveredKey } from '../domain/conversation/keys';

interface Taken {
  readonly delivered: readonly DeliveredCursor[];
  readonly read: readonly ReadCursor[];
}

/** Receipts of one conversation and window: of each device and each reader the furthest. Times are milliseconds. */
export class GatheredCursors {
  private readonly byDevice = new Map<string, DeliveredCursor>();
  private readonly byUser = new Map<string, ReadCursor>();
  /** When the first and the last of the delivered cursors that wait came. */
  private firstDeliveredAt = 0;
  private lastDeliveredAt = 0;

  get isEmpty(): boolean {
    return this.byDevice.size + this.byUser.size === 0;
  }

  /** Of either kind, for each kind becomes an event of its own. */
  holds(cursors: number): boolean {
    return this.byDevice.size >= cursors || this.byUser.size >= cursors;
  }

  delivered(cursor: DeliveredCursor, now: number): void {
    if (this.byDevice.size === 0) this.firstDeliveredAt = now;
    this.lastDeliveredAt = now;
    const key = deliveredKey(cursor.userId, cursor.deviceId);
    const known = this.byDevice.get(key);
    if (known === undefined || known.upTo < cursor.upTo) this.byDevice.set(key, cursor);
  }

  read(cursor: ReadCursor): void {
    const known = this.byUser.get(cursor.userId);
    if (known === undefined || known.upTo < cursor.upTo) this.byUser.set(cursor.userId, cursor);
  }

  /** Delivered cursors came within the last `quietMs`, and the first of them not `patienceMs` ago. */
  isStillComing(now: number, quietMs: number, patienceMs: number): boolean {
    if (this.byDevice.size === 0) return false;
    return now - this.lastDeliveredAt < quietMs && now - this.firstDeliveredAt < patienceMs;
  }

  /** What has come together, in the order in which it first came; nothing of it is left. */
  take(which: 'all' | 'read'): Taken {
    const read = [...this.byUser.values()];
    this.byUser.clear();
    if (which === 'read') return { delivered: [], read };
    const delivered = [...this.byDevice.values()];
    this.byDevice.clear();
    return { delivered, read };
  }
}

import type { DeliveredCursor, ReadCursor } from '../domain/conversation/events';
import { deliveredKey } from '../domain/conversation/keys';

/** Receipts of one conversation and window: of each device and each reader the furthest. */
export class GatheredCursors {
  private readonly byDevice = new Map<string, DeliveredCursor>();
  private readonly byUser = new Map<string, ReadCursor>();

  get size(): number {
    return this.byDevice.size + this.byUser.size;
  }

  delivered(cursor: DeliveredCursor): void {
    const key = deliveredKey(cursor.userId, cursor.deviceId);
    const known = this.byDevice.get(key);
    if (known === undefined || known.upTo < cursor.upTo) this.byDevice.set(key, cursor);
  }

  read(cursor: ReadCursor): void {
    const known = this.byUser.get(cursor.userId);
    if (known === undefined || known.upTo < cursor.upTo) this.byUser.set(cursor.userId, cursor);
  }

  /** What has come together, in the order in which it first came; empty afterwards. */
  take(): { readonly delivered: readonly DeliveredCursor[]; readonly read: readonly ReadCursor[] } {
    const gathered = { delivered: [...this.byDevice.values()], read: [...this.byUser.values()] };
    this.byDevice.clear();
    this.byUser.clear();
    return gathered;
  }
}

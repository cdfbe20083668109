import { CursorReads, type ReceiptsView } from '../../application/ports/read-models';
import { asDeviceId, asSeq, asUserId, type ConversationId, type Seq } from '../../kernel/ids';
import type { Database } from './database';

/** Delivered and read cursors, from the read model `cursors`. Rejects with StoreUnavailable. */
export class PostgresCursorReads extends CursorReads {
  constructor(private readonly database: Database) {
    super();
  }

  async receipts(conversationId: ConversationId, seq: Seq): Promise<ReceiptsView> {
    const [delivered, read] = await Promise.all([
      this.database.query<{ user_id: string; device_id: string; up_to: string }>(
        `SELECT user_id, device_id, up_to FROM read.cursors_delivered
         WHERE conversation_id = $1 AND up_to >= $2 ORDER BY user_id, device_id`,
        [conversationId, seq],
      ),
      this.database.query<{ user_id: string; up_to: string }>(
        `SELECT user_id, up_to FROM read.cursors_read
         WHERE conversation_id = $1 AND up_to >= $2 ORDER BY user_id`,
        [conversationId, seq],
      ),
    ]);
    return {
      delivered: delivered.map((row) => ({
        userId: asUserId(row.user_id),
        deviceId: asDeviceId(row.device_id),
        upTo: asSeq(Number(row.up_to)),
      })),
      read: read.map((row) => ({ userId: asUserId(row.user_id), upTo: asSeq(Number(row.up_to)) })),
    };
  }
}

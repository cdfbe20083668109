import { MessageIndex, type IndexLookup } from '../../application/ports/message-index';
import type { LookupRequest } from '../../domain/conversation/commands';
import { asMessageId, asMillis, asOrdinal, asSeq, type ConversationId } from '../../kernel/ids';
import type { Database } from './database';

interface FoundRow {
  readonly ready: boolean;
  readonly seq: string | null;
  readonly ordinal: string;
  readonly message_id: string;
  readonly content_hash: string;
  readonly sent_at: string;
}

/** The permanent index of keys, from the read model `dedupe`. Rejects with StoreUnavailable. */
export class PostgresMessageIndex extends MessageIndex {
  constructor(private readonly database: Database) {
    super();
  }

  async find(conversationId: ConversationId, request: LookupRequest): Promise<IndexLookup> {
    const { by, clientMessageId, after } = request;
    // One statement, so that both halves see the same moment: asked one after the other, the key could arrive
    // together with `after` between the two, and be missed.
    const rows = await this.database.query<FoundRow>(
      `SELECT asked.ready, k.seq, k.ordinal, k.message_id, k.content_hash, k.sent_at
       FROM (SELECT $4::uuid IS NULL OR EXISTS (
               SELECT FROM read.dedupe_messages
               WHERE conversation_id = $1 AND sender_id = $4 AND client_message_id = $5) AS ready) asked
       LEFT JOIN read.dedupe_messages k
         ON k.conversation_id = $1 AND k.sender_id = $2 AND k.client_message_id = $3`,
      [conversationId, by, clientMessageId, after?.by ?? null, after?.clientMessageId ?? null],
      'messageIndex.find',
    );
    const row = rows[0];
    if (row === undefined) throw new Error('a SELECT without WHERE gave no row');
    // What is found is found, however far behind the index is.
    if (row.seq === null) return row.ready ? { kind: 'answer', found: undefined } : { kind: 'behind' };
    return {
      kind: 'answer',
      found: {
        messageId: asMessageId(row.message_id),
        seq: asSeq(Number(row.seq)),
        ordinal: asOrdinal(Number(row.ordinal)),
        at: asMillis(Number(row.sent_at)),
        contentHash: row.content_hash,
      },
    };
  }
}

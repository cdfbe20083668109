import type { Database } from '../../src/infrastructure/postgres/database';
import { asConversationId, asSeq, type ConversationId, type Seq } from '../../src/kernel/ids';

/** A file whose every step is in the log, and where its last one stands. */
export interface FinishedFile {
  readonly conversationId: ConversationId;
  readonly file: string;
  /** SHA-256, hex, of log and annotation. */
  readonly digest: string;
  readonly lastStep: string;
  readonly lastSeq: Seq;
}

/** Remembers finished files, so that the next run need not read their conversations. Only that: see `holdsStep`. */
export interface ImportProgress {
  /** Of these conversations. */
  all(conversationIds: readonly ConversationId[]): Promise<readonly FinishedFile[]>;
  finished(file: FinishedFile): Promise<void>;
}

interface FinishedRow {
  readonly conversation_id: string;
  readonly file: string;
  readonly digest: string;
  readonly last_step: string;
  readonly last_seq: string;
}

export class PostgresImportProgress implements ImportProgress {
  constructor(private readonly database: Database) {}

  async all(conversationIds: readonly ConversationId[]): Promise<readonly FinishedFile[]> {
    const rows = await this.database.query<FinishedRow>(
      `SELECT conversation_id, file, digest, last_step, last_seq
       FROM app.import_progress WHERE conversation_id = ANY($1::uuid[])`,
      [conversationIds],
    );
    return rows.map((row) => ({
      conversationId: asConversationId(row.conversation_id),
      file: row.file,
      digest: row.digest,
      lastStep: row.last_step,
      lastSeq: asSeq(Number(row.last_seq)),
    }));
  }

  async finished({ conversationId, file, digest, lastStep, lastSeq }: FinishedFile): Promise<void> {
    await this.database.query(
      `INSERT INTO app.import_progress (conversation_id, file, digest, last_step, last_seq)
       VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (conversation_id, file)
       DO UPDATE SET digest = $3, last_step = $4, last_seq = $5, finished_at = now()`,
      [conversationId, file, digest, lastStep, lastSeq],
    );
  }
}

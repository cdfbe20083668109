import { READ_EVENTS_MAX, type EventLog, type LogEvent } from '../src/application/ports/event-log';
import { conversationStream } from '../src/domain/conversation/streams';
import type { Database } from '../src/infrastructure/postgres/database';
import { asConversationId, asRevision, type ConversationId } from '../src/kernel/ids';
import { hasPassed, nearest, type Position } from '../src/kernel/position';
import { LIVE_PROJECTIONS } from './live';
import { readCheckpoints } from './runner/checkpoints';
import { recordedOf } from './runner/recorded-of';
import { tableFacts } from './table-facts';
import { ConversationFold } from './verify/conversation-fold';
import { differencesBetween, type Facts } from './verify/facts';

/** Differences that are written out; the rest is only counted. */
export const DIFFERENCES_MAX = 1_000;
const PAGE_ROWS_MAX = 1_000;

export interface Verification {
  readonly conversations: number;
  readonly events: number;
  /** Facts compared: members with their counts, messages, cursors and so on. */
  readonly facts: number;
  readonly differenceCount: number;
  /** Sentences; the first DIFFERENCES_MAX. */
  readonly differences: readonly string[];
}

/** What else must be true of a conversation's stream, whatever the read models say. One is made per conversation. */
export interface StreamCheck {
  /** Adjacent events, oldest first, in any number of pieces. @returns what is wrong, as a sentence */
  take(events: readonly LogEvent[]): string | undefined;
}

/**
 * Folds the log with the plain domain code and compares what comes out with the read models: members, unread and
 * mention counts, cursors, messages as they now are, keys. May run while the system serves: each conversation is
 * compared as of the checkpoint in its snapshot. One conversation is held in memory at a time.
 * Rejects with StoreUnavailable or EventLogUnavailable.
 */
export async function verifyReadModels(options: {
  readonly eventLog: EventLog;
  readonly database: Database;
  /** Makes the check that each stream is held against while it is read. */
  readonly streamCheck?: () => StreamCheck;
  readonly onProgress?: (soFar: { readonly conversations: number; readonly events: number }) => void;
}): Promise<Verification> {
  return new Verifier(options).run();
}

class Verifier {
  private conversations = 0;
  private events = 0;
  private facts = 0;
  private differenceCount = 0;
  private readonly differences: string[] = [];

  private readonly eventLog: EventLog;
  private readonly database: Database;

  constructor(private readonly options: Parameters<typeof verifyReadModels>[0]) {
    this.eventLog = options.eventLog;
    this.database = options.database;
  }

  async run(): Promise<Verification> {
    for await (const id of this.conversationsOfLog()) {
      await this.compare(id);
      this.options.onProgress?.({ conversations: this.conversations, events: this.events });
    }
    await this.findStrangers();
    const { conversations, events, facts, differenceCount, differences } = this;
    return { conversations, events, facts, differenceCount, differences };
  }

  private async *conversationsOfLog(): AsyncGenerator<ConversationId> {
    const filter = { eventTypePrefixes: ['ConversationStarted'] };
    let after: Position | undefined;
    for (;;) {
      const page = await this.eventLog.readAll({
        ...(after === undefined ? {} : { after }),
        limit: READ_EVENTS_MAX,
        filter,
      });
      for (const event of page.events) {
        const recorded = recordedOf(event);
        if (recorded !== undefined) yield recorded.conversationId;
      }
      if (page.endOfLog) return;
      after = page.next;
    }
  }

  private async compare(id: ConversationId): Promise<void> {
    const { position, tables } = await this.snapshot(id);
    this.conversations += 1;
    try {
      const log = await this.fold(id, position);
      this.facts += Math.max(log.size, tables.size);
      for (const difference of differencesBetween(log, tables)) this.report(id, difference);
    } catch (error) {
      if (!(error instanceof UnfoldableLog)) throw error;
      this.report(id, error.message);
    }
  }

  private async snapshot(id: ConversationId): Promise<{ position: Position; tables: Facts }> {
    return this.database.transaction(async (client) => {
      await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const checkpoints = [
        ...(
          await readCheckpoints(
            client,
            LIVE_PROJECTIONS.map(({ name }) => name),
          )
        ).values(),
      ];
      const position = checkpoints.reduce(nearest);
      if (checkpoints.some((other) => !hasPassed(position, other)))
        this.report(id, 'the read models stand at different positions: wait until they have caught up');
      return { position, tables: await tableFacts(client, id) };
    });
  }

  private async fold(id: ConversationId, upTo: Position): Promise<Facts> {
    const fold = new ConversationFold();
    const check = this.options.streamCheck?.();
    for (let from = 0n; ;) {
      const page = await this.eventLog.readStream(conversationStream(id), {
        from: asRevision(from),
        limit: READ_EVENTS_MAX,
      });
      if (page.kind !== 'events') return fold.facts();
      const events = page.events.filter(({ position }) => hasPassed(upTo, position));
      const problem = check?.take(events);
      if (problem !== undefined) this.report(id, problem);
      for (const event of events) {
        const recorded = recordedOf(event);
        if (recorded === undefined) continue;
        this.events += 1;
        try {
          fold.add(recorded);
        } catch (error) {
          throw new UnfoldableLog(error instanceof Error ? error.message : String(error));
        }
      }
      const last = page.events.at(-1);
      if (!page.more || last === undefined || events.length < page.events.length) return fold.facts();
      from = last.revision + 1n;
    }
  }

  /** Rows of conversations that the log does not know. */
  private async findStrangers(): Promise<void> {
    let after = '00000000-0000-0000-0000-000000000000';
    for (;;) {
      const rows = await this.database.query<{ conversation_id: string }>(
        `SELECT conversation_id FROM read.inbox_conversations
         WHERE conversation_id > $1 ORDER BY conversation_id LIMIT ${PAGE_ROWS_MAX}`,
        [after],
      );
      for (const { conversation_id } of rows) {
        const id = asConversationId(conversation_id);
        const read = await this.eventLog.readStream(conversationStream(id), { limit: 1 });
        if (read.kind !== 'events') this.report(id, 'is in the tables, but not in the log');
      }
      const last = rows.at(-1);
      if (last === undefined) break;
      after = last.conversation_id;
    }
    for (const table of LIVE_PROJECTIONS.flatMap(({ tables }) => tables)) await this.findOrphans(table);
  }

  private async findOrphans(table: string): Promise<void> {
    const rows = await this.database.query<{ conversation_id: string }>(
      `SELECT DISTINCT t.conversation_id FROM read.${table} t
       WHERE NOT EXISTS (SELECT FROM read.inbox_conversations c WHERE c.conversation_id = t.conversation_id)
       LIMIT ${PAGE_ROWS_MAX}`,
    );
    for (const { conversation_id } of rows)
      this.report(conversation_id, `has rows in ${table}, but is no conversation of the inbox`);
  }

  private report(conversationId: string, difference: string): void {
    this.differenceCount += 1;
    if (this.differences.length < DIFFERENCES_MAX)
      this.differences.push(`conversation ${conversationId}: ${difference}`);
  }
}

/** The domain refuses to fold the stream: an event is out of place. */
class UnfoldableLog extends Error {
  override readonly name = 'UnfoldableLog';
}

import type { EventLog } from '../../application/ports/event-log';
import { conversationStream } from '../../domain/conversation/streams';
import { asConversationId } from '../../kernel/ids';
import { formatPosition, hasPassed, parsePosition, type Position } from '../../kernel/position';
import type { Database, Queryable } from './database';
import { MIGRATION_LOCK, readModelDefinitions } from './migrate';

/** Conversations whose hidden messages are held against the log in one go. */
const PAGE_ROWS_MAX = 1_000;

export type Binding =
  | { readonly kind: 'same' }
  /** The read models were made before they knew of which log, or are new: they belong to this one from now on. */
  | { readonly kind: 'first' }
  /** They were made from the log with this numbering, and are empty now. */
  | { readonly kind: 'anew'; readonly before: string };

/**
 * Binds the read models to the log whose positions their checkpoints count. Those that were made from another one, or
 * from this one before an older copy was put in its place, are dropped and made again, empty: the projector fills them
 * from the log's beginning. What else points into the log by its numbers is put right, too. All in one transaction; any
 * number of nodes may do it at once.
 *
 * Rejects with StoreUnavailable or EventLogUnavailable; nothing is changed then.
 */
export async function bindToLog(
  database: Database,
  log: Pick<EventLog, 'numbering' | 'readStream'>,
): Promise<Binding> {
  const numbering = await log.numbering();
  return database.transaction(async (client) => {
    await client.query(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    return bind(client, log, numbering);
  });
}

/**
 * Whether the read models were made from these stores among others, each with one numbering: for the time in which not
 * all shards are there to be bound to. False as well before they were bound to anything.
 */
export async function areSources(database: Queryable, numberings: readonly string[]): Promise<boolean> {
  const rows = await database.query<{ numbering: string }>('SELECT numbering FROM read.source');
  const known = rows[0]?.numbering.split(' ');
  return known !== undefined && numberings.every((one) => known.includes(one));
}

/** An older copy of the log was put in place, and nobody was told. */
export class OlderLog extends Error {
  override readonly name = 'OlderLog';
}

/**
 * For a log whose end is known exactly: that of the embedded engine. A server's last place may lie behind its last event.
 * @throws OlderLog when the read models have read more than there is: they would skip what is written up to there
 */
export async function refuseOlderLog(database: Queryable, end: Position): Promise<void> {
  const rows = await database.query<{ position: string }>('SELECT position FROM read.checkpoints');
  const ahead = rows.find(({ position }) => !hasPassed(end, parsePosition(position)));
  if (ahead === undefined) return;
  throw new OlderLog(
    `the event log ends at position ${formatPosition(end)}, and the read models have read it up to ${ahead.position}: ` +
      'an older copy of it was put in place. `npm run eventstore -- new-epoch` has devices and read models begin anew; then start again',
  );
}

async function bind(
  client: Queryable,
  log: Pick<EventLog, 'readStream'>,
  numbering: string,
): Promise<Binding> {
  const rows = await client.query<{ numbering: string }>('SELECT numbering FROM read.source');
  const before = rows[0]?.numbering;
  if (before === numbering) return { kind: 'same' };
  const grown = before?.split(' ').every((shard) => numbering.split(' ').includes(shard)) ?? true;
  if (!grown) {
    await client.query('SET LOCAL client_min_messages = warning');
    await client.query('DROP SCHEMA read CASCADE');
    for (const definition of await readModelDefinitions()) await client.query(definition);
    await showReusedNumbers(client, log);
    // A shortcut past files whose messages may no longer be in the log.
    await client.query('DELETE FROM app.import_progress');
  }
  await client.query(
    `INSERT INTO read.source (numbering) VALUES ($1)
     ON CONFLICT (one) DO UPDATE SET numbering = excluded.numbering`,
    [numbering],
  );
  if (before === undefined) return { kind: 'first' };
  return grown ? { kind: 'same' } : { kind: 'anew', before };
}

/** Whoever has hidden a message that is no longer in the log has not hidden the one that gets its number next. */
async function showReusedNumbers(client: Queryable, log: Pick<EventLog, 'readStream'>): Promise<void> {
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const rows = await client.query<{ id: string }>(
      `SELECT DISTINCT conversation_id AS id FROM app.hidden_messages
       WHERE conversation_id > $1 ORDER BY 1 LIMIT ${PAGE_ROWS_MAX}`,
      [after],
    );
    for (const { id } of rows) {
      const stream = conversationStream(asConversationId(id));
      const read = await log.readStream(stream, { direction: 'backwards', limit: 1 });
      const last = read.kind === 'events' ? (read.events[0]?.revision ?? -1n) : -1n;
      await client.query('DELETE FROM app.hidden_messages WHERE conversation_id = $1 AND seq > $2', [
        id,
        last.toString(),
      ]);
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

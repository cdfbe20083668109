import { canonicalJson } from '../src/kernel/json';
import { DEFAULT_SETTINGS, withSettings } from '../src/domain/conversation/settings';
import type { ConversationId } from '../src/kernel/ids';
import type { Queryable } from '../src/infrastructure/postgres/database';
import { UNREAD_COUNTS } from '../src/infrastructure/postgres/inbox-sql';
import type { MessageRow } from '../src/infrastructure/postgres/message-rows';
import { fingerprint } from './verify/conversation-fold';
import { fact, type Facts } from './verify/facts';

/** Rows of a long table that are held at a time. */
const PAGE_ROWS_MAX = 5_000;

type Entry = [string, string];

/** What the read models say of one conversation. In a transaction of its own snapshot, or while nothing writes. */
export async function tableFacts(client: Queryable, id: ConversationId): Promise<Facts> {
  return new Map<string, string>([
    ...(await conversation(client, id)),
    ...(await members(client, id)),
    ...(await spans(client, id)),
    ...(await messages(client, id)),
    ...(await edits(client, id)),
    ...(await ordinals(client, id)),
    ...(await keys(client, id)),
    ...(await reactions(client, id)),
    ...(await cursors(client, id)),
  ]);
}

async function conversation(client: Queryable, id: ConversationId): Promise<readonly Entry[]> {
  const rows = await client.query<{
    kind: string;
    created_at: string;
    active_at: string;
    head_seq: string;
    last_ordinal: string;
    member_count: number;
    details: { readonly title?: string; readonly description?: string; readonly avatarFileId?: string };
  }>('SELECT * FROM read.inbox_conversations WHERE conversation_id = $1', [id]);
  return rows.map((row) => {
    const { title, description, avatarFileId, ...changes } = row.details;
    const settings = withSettings(DEFAULT_SETTINGS, changes);
    return fact.conversation({
      kind: row.kind,
      createdAt: Number(row.created_at),
      activeAt: Number(row.active_at),
      headSeq: Number(row.head_seq),
      lastOrdinal: Number(row.last_ordinal),
      memberCount: row.member_count,
      details: canonicalJson({ title, description, avatarFileId, settings }),
    });
  });
}

async function members(client: Queryable, id: ConversationId): Promise<readonly Entry[]> {
  const rows = await client.query<{
    user_id: string;
    role: string;
    joined_at: string;
    from_seq: string;
    read_up_to: string;
    unread: string;
    mentions: string;
  }>(
    `SELECT m.user_id, m.role, m.joined_at, m.from_seq, m.read_up_to, counts.unread, counts.mentions
     FROM read.inbox_members m
     JOIN read.inbox_conversations c ON c.conversation_id = m.conversation_id
     ${UNREAD_COUNTS}
     WHERE m.conversation_id = $1 AND m.to_seq IS NULL`,
    [id],
  );
  return rows.map((row) =>
    fact.member(row.user_id, {
      role: row.role,
      joinedAt: Number(row.joined_at),
      joinedSeq: Number(row.from_seq),
      readUpTo: Number(row.read_up_to),
      unread: Number(row.unread),
      mentions: Number(row.mentions),
    }),
  );
}

async function spans(client: Queryable, id: ConversationId): Promise<readonly Entry[]> {
  const rows = await client.query<{ user_id: string; from_seq: string; to_seq: string | null }>(
    'SELECT user_id, from_seq, to_seq FROM read.inbox_members WHERE conversation_id = $1',
    [id],
  );
  return rows.map((row) =>
    fact.span(row.user_id, Number(row.from_seq), row.to_seq === null ? null : Number(row.to_seq)),
  );
}

/** A table with a row per message, in pieces. @param select ends in a WHERE with $1 conversation, $2 seq before */
async function paged(
  client: Queryable,
  id: ConversationId,
  select: string,
  toEntry: (row: MessageRow) => Entry,
): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (let after = -1; ;) {
    const rows = await client.query<MessageRow>(`${select} ORDER BY seq LIMIT ${PAGE_ROWS_MAX}`, [id, after]);
    for (const row of rows) entries.push(toEntry(row));
    if (rows.length < PAGE_ROWS_MAX) return entries;
    after = Number(rows.at(-1)?.seq);
  }
}

const messages = (client: Queryable, id: ConversationId): Promise<readonly Entry[]> =>
  paged(client, id, 'SELECT * FROM read.history_messages WHERE conversation_id = $1 AND seq > $2', (row) =>
    fact.message(Number(row.seq), {
      ordinal: Number(row.ordinal),
      messageId: row.message_id,
      clientMessageId: row.client_message_id,
      senderId: row.sender_id,
      at: Number(row.sent_at),
      content: row.content === null ? null : fingerprint(row.content),
      replyTo: orNull(row.reply_to),
      threadOf: orNull(row.thread_of),
      extra: canonicalJson(row.extra ?? {}),
      deletedAt: orNull(row.deleted_at),
    }),
  );

async function edits(client: Queryable, id: ConversationId): Promise<readonly Entry[]> {
  const rows = await client.query<{
    target: string;
    seq: string;
    version: number;
    edited_at: string;
    content: unknown;
  }>('SELECT * FROM read.history_edits WHERE conversation_id = $1', [id]);
  return rows.map((row) =>
    fact.edit(Number(row.target), Number(row.seq), {
      version: row.version,
      at: Number(row.edited_at),
      content: row.content === null ? null : fingerprint(row.content),
    }),
  );
}

const ordinals = (client: Queryable, id: ConversationId): Promise<readonly Entry[]> =>
  paged(
    client,
    id,
    'SELECT seq, ordinal FROM read.inbox_messages WHERE conversation_id = $1 AND seq > $2',
    (row) => fact.ordinal(Number(row.seq), Number(row.ordinal)),
  );

/** Not in pieces: its index is by key, and sorting all of them for each piece would cost more than holding them. */
async function keys(client: Queryable, id: ConversationId): Promise<readonly Entry[]> {
  const rows = await client.query<{
    sender_id: string;
    client_message_id: string;
    seq: string;
    ordinal: string;
    message_id: string;
    content_hash: string;
    sent_at: string;
  }>('SELECT * FROM read.dedupe_messages WHERE conversation_id = $1', [id]);
  return rows.map((row) =>
    fact.key(row.sender_id, row.client_message_id, {
      seq: Number(row.seq),
      ordinal: Number(row.ordinal),
      messageId: row.message_id,
      contentHash: row.content_hash,
      at: Number(row.sent_at),
    }),
  );
}

async function reactions(client: Queryable, id: ConversationId): Promise<readonly Entry[]> {
  const rows = await client.query<{
    target: string;
    user_id: string;
    emoji: string;
    is_on: boolean;
    seq: string;
  }>('SELECT * FROM read.history_reactions WHERE conversation_id = $1', [id]);
  return rows.map((row) =>
    fact.reaction(Number(row.target), row.user_id, row.emoji, row.is_on, Number(row.seq)),
  );
}

async function cursors(client: Queryable, id: ConversationId): Promise<readonly Entry[]> {
  const delivered = await client.query<{ user_id: string; device_id: string; up_to: string }>(
    'SELECT user_id, device_id, up_to FROM read.cursors_delivered WHERE conversation_id = $1',
    [id],
  );
  const read = await client.query<{ user_id: string; up_to: string }>(
    'SELECT user_id, up_to FROM read.cursors_read WHERE conversation_id = $1',
    [id],
  );
  return [
    ...delivered.map((row) => fact.delivered(row.user_id, row.device_id, Number(row.up_to))),
    ...read.map((row) => fact.read(row.user_id, Number(row.up_to))),
  ];
}

const orNull = (value: string | null): number | null => (value === null ? null : Number(value));

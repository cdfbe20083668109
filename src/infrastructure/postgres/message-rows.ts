import type { MembershipSpan, MessageView, ReactionView } from '../../application/ports/read-models';
import type { ForwardedFrom, MessageContent } from '../../domain/conversation/events';
import {
  asConversationId,
  asMillis,
  asOrdinal,
  asSeq,
  asUserId,
  type ConversationId,
  type Seq,
  type UserId,
} from '../../kernel/ids';
import type { Queryable } from './database';

/** People named per reaction in a view (PROTOCOL.md section 5); the count counts all. */
export const REACTION_USERS_MAX = 20;

/** As the driver gives it: bigint comes as text. */
export interface MessageRow {
  readonly conversation_id: string;
  readonly seq: string;
  readonly ordinal: string;
  readonly message_id: string;
  readonly client_message_id: string;
  readonly sender_id: string;
  readonly sent_at: string;
  readonly content: MessageContent | null;
  readonly reply_to: string | null;
  readonly thread_of: string | null;
  readonly extra: {
    readonly forwardedFrom?: ForwardedFrom;
    readonly mentions?: readonly UserId[];
    readonly expiresAt?: string;
    readonly originalAt?: string;
  } | null;
  readonly version: number;
  readonly edited_at: string | null;
  readonly deleted_at: string | null;
}

/** What somebody may read of each of some conversations. */
export type Visible = ReadonlyMap<ConversationId, readonly MembershipSpan[]>;

/** {@link Visible} as three parameters of a query, for {@link within}. */
export function visibleParameters(visible: Visible): readonly [string[], number[], number[]] {
  const [ids, from, to]: [string[], number[], number[]] = [[], [], []];
  for (const [id, spans] of visible) {
    for (const span of spans) {
      ids.push(id);
      from.push(span.from);
      to.push(span.to ?? Number.MAX_SAFE_INTEGER);
    }
  }
  return [ids, from, to];
}

/** True for rows of `item` whose seq is within the parameters `first` to `first + 2` of {@link visibleParameters}. */
export const within = (item: string, first: number): string => `EXISTS (
  SELECT FROM unnest($${first}::uuid[], $${first + 1}::bigint[], $${first + 2}::bigint[]) AS v(id, from_seq, to_seq)
  WHERE v.id = ${item}.conversation_id AND ${item}.seq BETWEEN v.from_seq AND v.to_seq)`;

/**
 * True for a message whose time is over, whether it has been deleted for it yet or not. Times are compared as the texts
 * they are: UTC, with milliseconds.
 */
export const EXPIRED = `CASE WHEN m.extra ? 'expiresAt' THEN (m.extra ->> 'expiresAt') COLLATE "C"
  <= to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') ELSE false END`;

/** Columns of {@link MessageRow}, of a FROM item named `m` that {@link lastEdit} is joined to. */
export const MESSAGE_COLUMNS = `m.conversation_id, m.seq, m.ordinal, m.message_id, m.client_message_id,
  m.sender_id, m.sent_at,
  CASE WHEN m.deleted_at IS NULL AND NOT ${EXPIRED} THEN coalesce(edit.content, m.content) END AS content,
  m.reply_to, m.thread_of, m.extra, coalesce(edit.version, 1) AS version, edit.edited_at,
  coalesce(m.deleted_at, CASE WHEN ${EXPIRED}
    THEN (extract(epoch FROM (m.extra ->> 'expiresAt')::timestamptz) * 1000)::bigint END) AS deleted_at`;

/** Joins to `m` the last edit of it that is visible; the parameters are those of {@link within}. */
export const lastEdit = (first: number): string => `LEFT JOIN LATERAL (
  SELECT e.version, e.edited_at, e.content FROM read.history_edits e
  WHERE e.conversation_id = m.conversation_id AND e.target = m.seq AND ${within('e', first)}
  ORDER BY e.seq DESC LIMIT 1
) edit ON true`;

/** True for what the user in parameter `user` has not hidden from themselves. */
export const notHiddenFrom = (user: string): string => `NOT EXISTS (
  SELECT FROM app.hidden_messages h
  WHERE h.user_id = ${user}::uuid AND h.conversation_id = m.conversation_id AND h.seq = m.seq)`;

export interface MessageKey {
  readonly conversationId: ConversationId;
  readonly seq: Seq;
}

const textOf = ({ conversationId, seq }: MessageKey): string => `${conversationId}/${seq}`;

/** Adds the reactions that are visible, in one query for all. Deleted messages show none. */
export async function toViews(
  database: Queryable,
  userId: UserId,
  rows: readonly MessageRow[],
  visible: Visible,
): Promise<readonly MessageView[]> {
  const shown = rows.filter((row) => row.deleted_at === null);
  const reactions = await reactionsOf(database, userId, shown, visible);
  return rows.map((row) => toView(row, reactions));
}

interface ReactionRow {
  readonly conversation_id: string;
  readonly target: string;
  readonly emoji: string;
  readonly count: number;
  readonly user_ids: readonly string[];
  readonly mine: boolean;
}

async function reactionsOf(
  database: Queryable,
  userId: UserId,
  rows: readonly MessageRow[],
  visible: Visible,
): Promise<ReadonlyMap<string, readonly ReactionView[]>> {
  const found = new Map<string, ReactionView[]>();
  if (rows.length === 0) return found;
  const reactions = await database.query<ReactionRow>(
    `SELECT r.conversation_id, r.target, r.emoji, count(*)::int AS count,
            ((array_agg(r.user_id::text ORDER BY r.seq, r.user_id))[1:${REACTION_USERS_MAX}]) AS user_ids,
            bool_or(r.user_id = $3::uuid) AS mine
     FROM (
       SELECT DISTINCT ON (h.conversation_id, h.target, h.emoji, h.user_id) h.*
       FROM unnest($1::uuid[], $2::bigint[]) AS k(conversation_id, target)
       JOIN read.history_reactions h USING (conversation_id, target)
       WHERE ${within('h', 4)}
       ORDER BY h.conversation_id, h.target, h.emoji, h.user_id, h.seq DESC
     ) r
     WHERE r.is_on
     GROUP BY r.conversation_id, r.target, r.emoji
     ORDER BY min(r.seq), r.emoji`,
    [
      rows.map((row) => row.conversation_id),
      rows.map((row) => row.seq),
      userId,
      ...visibleParameters(visible),
    ],
    'history.reactions',
  );
  for (const row of reactions) {
    const key = `${row.conversation_id}/${row.target}`;
    const view: ReactionView = {
      emoji: row.emoji,
      count: row.count,
      userIds: row.user_ids.map(asUserId),
      mine: row.mine,
    };
    const views = found.get(key);
    if (views === undefined) found.set(key, [view]);
    else views.push(view);
  }
  return found;
}

function toView(row: MessageRow, reactions: ReadonlyMap<string, readonly ReactionView[]>): MessageView {
  const key = { conversationId: asConversationId(row.conversation_id), seq: asSeq(Number(row.seq)) };
  return {
    ...key,
    ordinal: asOrdinal(Number(row.ordinal)),
    messageId: row.message_id,
    clientMessageId: row.client_message_id,
    senderId: asUserId(row.sender_id),
    at: asMillis(Number(row.sent_at)),
    content: row.content,
    ...(row.reply_to === null ? {} : { replyTo: asSeq(Number(row.reply_to)) }),
    ...(row.thread_of === null ? {} : { threadOf: asSeq(Number(row.thread_of)) }),
    ...row.extra,
    mentions: row.extra?.mentions ?? [],
    version: row.version,
    ...(row.edited_at === null ? {} : { editedAt: asMillis(Number(row.edited_at)) }),
    ...(row.deleted_at === null ? {} : { deletedAt: asMillis(Number(row.deleted_at)) }),
    reactions: reactions.get(textOf(key)) ?? [],
  };
}

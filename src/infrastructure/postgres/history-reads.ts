import {
  HistoryReads,
  type HistoryPage,
  type HistoryQuery,
  type MembershipSpan,
  type MessageQuery,
  type MessageView,
  type VersionsPage,
  type VersionsQuery,
} from '../../application/ports/read-models';
import type { MessageContent } from '../../domain/conversation/events';
import { clipped } from '../../domain/conversation/visibility';
import { asMillis, asSeq, type ConversationId, type Seq, type UserId } from '../../kernel/ids';
import type { Database } from './database';
import {
  EXPIRED,
  lastEdit,
  MESSAGE_COLUMNS,
  notHiddenFrom,
  toViews,
  visibleParameters,
  within,
  type MessageRow,
  type Visible,
} from './message-rows';

type Direction = 'older' | 'newer';

interface VersionRow {
  readonly seq: string;
  readonly version: number;
  readonly at: string;
  readonly content: MessageContent | null;
}

/** Messages as one person may see them, from the read model `history`. All methods reject with StoreUnavailable. */
export class PostgresHistoryReads extends HistoryReads {
  constructor(private readonly database: Database) {
    super();
  }

  async page(query: HistoryQuery): Promise<HistoryPage> {
    const { before, after, around, limit } = query;
    if (around !== undefined) return this.around(query, around);
    const direction: Direction = after === undefined ? 'older' : 'newer';
    const spans =
      after === undefined
        ? clipped(query.visible, 0, (before ?? Infinity) - 1)
        : clipped(query.visible, after + 1, Infinity);
    const rows = await this.rows(query, spans, direction, limit + 1);
    return this.toPage(query, chronological(rows.slice(0, limit), direction), rows.length > limit);
  }

  async message(query: MessageQuery): Promise<MessageView | undefined> {
    const { userId, conversationId, seq } = query;
    const visible = visibleOf(query);
    const rows = await this.database.query<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM read.history_messages m ${lastEdit(4)}
       WHERE m.conversation_id = $1 AND m.seq = $2 AND ${notHiddenFrom('$3')}`,
      [conversationId, seq, userId, ...visibleParameters(visible)],
    );
    return (await toViews(this.database, userId, rows, visible))[0];
  }

  async versions(query: VersionsQuery): Promise<VersionsPage | undefined> {
    const { userId, conversationId, seq, after, limit } = query;
    const rows = await this.database.query<VersionRow>(
      `SELECT v.* FROM read.history_messages m
       CROSS JOIN LATERAL (
         SELECT m.seq, 1 AS version, m.sent_at AS at, CASE WHEN NOT ${EXPIRED} THEN m.content END AS content
         UNION ALL
         SELECT e.seq, e.version, e.edited_at, CASE WHEN NOT ${EXPIRED} THEN e.content END FROM read.history_edits e
         WHERE e.conversation_id = m.conversation_id AND e.target = m.seq AND ${within('e', 6)}
       ) v
       WHERE m.conversation_id = $1 AND m.seq = $2 AND ${notHiddenFrom('$3')} AND v.seq > $4
       ORDER BY v.seq LIMIT $5`,
      [conversationId, seq, userId, after ?? -1, limit + 1, ...visibleParameters(visibleOf(query))],
    );
    if (rows.length === 0 && after === undefined) return undefined;
    return { items: rows.slice(0, limit).map(toVersion), hasMore: rows.length > limit };
  }

  async hide(userId: UserId, conversationId: ConversationId, seq: Seq): Promise<void> {
    await this.database.query(
      `INSERT INTO app.hidden_messages (user_id, conversation_id, seq) VALUES ($1, $2, $3)
       ON CONFLICT DO NOTHING`,
      [userId, conversationId, seq],
    );
  }

  /** The message at `seq`, or the one before it, in the middle; where one side is short, the other fills up. */
  private async around(query: HistoryQuery, seq: Seq): Promise<HistoryPage> {
    const { visible, limit } = query;
    const [older, newer] = await Promise.all([
      this.rows(query, clipped(visible, 0, seq), 'older', limit + 1),
      this.rows(query, clipped(visible, seq + 1, Infinity), 'newer', limit + 1),
    ]);
    const half = Math.ceil(limit / 2);
    const olderCount = Math.min(older.length, Math.max(half, limit - newer.length));
    const newerCount = Math.min(newer.length, limit - olderCount);
    const rows = [...chronological(older.slice(0, olderCount), 'older'), ...newer.slice(0, newerCount)];
    return this.toPage(query, rows, older.length > olderCount || newer.length > newerCount);
  }

  /**
   * Each span is searched by itself: somebody who was away for a million messages does not make the database read
   * them all to find the few before.
   */
  private async rows(
    query: HistoryQuery,
    spans: readonly MembershipSpan[],
    direction: Direction,
    limit: number,
  ): Promise<readonly MessageRow[]> {
    if (spans.length === 0) return [];
    const { conversationId, userId } = query;
    const order = direction === 'older' ? 'DESC' : 'ASC';
    return this.database.query<MessageRow>(
      `SELECT m.* FROM unnest($3::bigint[], $4::bigint[]) AS s(from_seq, to_seq)
       CROSS JOIN LATERAL (
         SELECT ${MESSAGE_COLUMNS} FROM read.history_messages m ${lastEdit(6)}
         WHERE m.conversation_id = $1 AND m.seq BETWEEN s.from_seq AND coalesce(s.to_seq, ${Number.MAX_SAFE_INTEGER})
           AND ${notHiddenFrom('$2')}
         ORDER BY m.seq ${order} LIMIT $5
       ) m
       ORDER BY m.seq ${order} LIMIT $5`,
      [
        conversationId,
        userId,
        spans.map(({ from }) => from),
        spans.map(({ to }) => to ?? null),
        limit,
        ...visibleParameters(visibleOf(query)),
      ],
    );
  }

  private async toPage(
    query: HistoryQuery,
    rows: readonly MessageRow[],
    hasMore: boolean,
  ): Promise<HistoryPage> {
    return { items: await toViews(this.database, query.userId, rows, visibleOf(query)), hasMore };
  }
}

const visibleOf = ({ conversationId, visible }: Pick<HistoryQuery, 'conversationId' | 'visible'>): Visible =>
  new Map([[conversationId, visible]]);

const toVersion = ({ seq, version, at, content }: VersionRow) => ({
  version,
  content,
  at: asMillis(Number(at)),
  seq: asSeq(Number(seq)),
});

const chronological = (rows: readonly MessageRow[], direction: Direction): readonly MessageRow[] =>
  direction === 'older' ? rows.toReversed() : rows;

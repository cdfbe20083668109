import {
  InboxReads,
  type ConversationView,
  type InboxHead,
  type InboxHeads,
  type InboxPage,
  type MemberView,
  type MessageView,
} from '../../application/ports/read-models';
import type { ConversationKind, ConversationSettings, Role } from '../../domain/conversation/events';
import { DEFAULT_SETTINGS, withSettings } from '../../domain/conversation/settings';
import { clipped, visibleRanges } from '../../domain/conversation/visibility';
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
import { parsePosition, POSITION_START, type Position } from '../../kernel/position';
import type { Database } from './database';
import { decodeInboxCursor, encodeInboxCursor } from './inbox-cursor';
import { INBOX_PROJECTION, LAST_VISIBLE_MESSAGE, UNREAD_COUNTS } from './inbox-sql';
import {
  lastEdit,
  MESSAGE_COLUMNS,
  toViews,
  visibleParameters,
  type MessageRow,
  type Visible,
} from './message-rows';

/** Members in a conversation's view; the rest come by {@link InboxReads.members} (PROTOCOL.md section 5). */
export const MEMBERS_IN_VIEW_MAX = 100;

interface Details extends Partial<ConversationSettings> {
  readonly title?: string;
  readonly description?: string;
  readonly avatarFileId?: string;
}

interface ViewRow {
  readonly conversation_id: string;
  readonly kind: ConversationKind;
  readonly created_at: string;
  readonly details: Details;
  readonly head_seq: string;
  readonly last_ordinal: string;
  readonly active_at: string;
  readonly member_count: number;
  readonly read_up_to: string;
  readonly unread: string;
  readonly mentions: string;
  readonly last_seq: string | null;
}

interface MemberRow {
  readonly user_id: string;
  readonly role: Role;
  readonly joined_at: string;
}

interface HeadRow {
  readonly conversation_id: string;
  readonly head_seq: string;
  readonly active_at: string;
  readonly shared: boolean;
  readonly from_seq: string;
  readonly to_seq: string | null;
}

interface PlaceRow {
  readonly position: string | null;
}

const HEADS_OF_USER = `SELECT m.conversation_id, c.head_seq, c.active_at, m.from_seq, m.to_seq,
         coalesce(c.details ->> 'historyVisibility' = 'shared', false) AS shared
  FROM read.inbox_members m JOIN read.inbox_conversations c USING (conversation_id)
  WHERE m.user_id = $1`;

const VIEW_COLUMNS = `c.conversation_id, c.kind, c.created_at, c.details, c.head_seq, c.last_ordinal, c.active_at,
  c.member_count, m.read_up_to, counts.unread, counts.mentions, last_message.seq AS last_seq`;

/** The conversation list, from the read model `inbox`. All methods reject with StoreUnavailable. */
export class PostgresInboxReads extends InboxReads {
  constructor(private readonly database: Database) {
    super();
  }

  async page(
    userId: UserId,
    options: { readonly limit: number; readonly cursor?: string },
  ): Promise<InboxPage | 'bad_cursor'> {
    const { limit, cursor } = options;
    const place = cursor === undefined ? undefined : decodeInboxCursor(cursor);
    if (cursor !== undefined && place === undefined) return 'bad_cursor';
    // First who is on the page, then what it shows: counts are computed for these alone.
    const rows = await this.database.query<ViewRow>(
      `WITH chosen AS MATERIALIZED (
         SELECT m.conversation_id, m.from_seq
         FROM read.inbox_members m JOIN read.inbox_conversations c USING (conversation_id)
         WHERE m.user_id = $1 AND m.to_seq IS NULL
           AND ($2::bigint IS NULL OR (c.active_at, c.conversation_id) < ($2, $3::uuid))
         ORDER BY c.active_at DESC, c.conversation_id DESC LIMIT $4
       )
       SELECT ${VIEW_COLUMNS}
       FROM chosen
       JOIN read.inbox_members m
         ON m.conversation_id = chosen.conversation_id AND m.user_id = $1 AND m.from_seq = chosen.from_seq
       JOIN read.inbox_conversations c ON c.conversation_id = chosen.conversation_id
       ${UNREAD_COUNTS} ${LAST_VISIBLE_MESSAGE}
       ORDER BY c.active_at DESC, c.conversation_id DESC`,
      [userId, place?.activeAt ?? null, place?.conversationId ?? null, limit + 1],
      'inbox.page',
    );
    const items = await this.toViews(userId, rows.slice(0, limit));
    const last = items.at(-1);
    if (rows.length <= limit || last === undefined) return { items, hasMore: false };
    const nextCursor = encodeInboxCursor({ activeAt: last.activeAt, conversationId: last.id });
    return { items, hasMore: true, nextCursor };
  }

  async conversation(userId: UserId, id: ConversationId): Promise<ConversationView | undefined> {
    return (await this.conversations(userId, [id]))[0];
  }

  async conversations(userId: UserId, ids: readonly ConversationId[]): Promise<readonly ConversationView[]> {
    if (ids.length === 0) return [];
    const rows = await this.database.query<ViewRow>(
      `SELECT ${VIEW_COLUMNS}
       FROM unnest($2::uuid[]) WITH ORDINALITY AS asked(conversation_id, place)
       JOIN read.inbox_members m
         ON m.conversation_id = asked.conversation_id AND m.user_id = $1 AND m.to_seq IS NULL
       JOIN read.inbox_conversations c ON c.conversation_id = asked.conversation_id
       ${UNREAD_COUNTS} ${LAST_VISIBLE_MESSAGE}
       ORDER BY asked.place`,
      [userId, ids],
      'inbox.conversations',
    );
    return this.toViews(userId, rows);
  }

  async heads(userId: UserId, cursors?: ReadonlyMap<ConversationId, Seq>): Promise<InboxHeads> {
    if (cursors !== undefined && cursors.size > 0) {
      const moved = await this.headsMoved(userId, cursors);
      if (moved !== undefined) return moved;
    }
    // One statement, for one look at both: what was known before of the place may no longer be so. Its row comes first.
    const [place, ...rows] = await this.database.query<HeadRow & PlaceRow>(
      `SELECT NULL::uuid AS conversation_id, NULL::bigint AS head_seq, NULL::bigint AS active_at,
              NULL::bigint AS from_seq, NULL::bigint AS to_seq, NULL::boolean AS shared,
              (SELECT position FROM read.checkpoints WHERE projection = '${INBOX_PROJECTION}') AS position
       UNION ALL
       SELECT *, NULL FROM (${HEADS_OF_USER}) heads
       ORDER BY active_at DESC NULLS FIRST, conversation_id DESC, from_seq`,
      [userId],
      'inbox.heads',
    );
    return { items: toHeads(rows), asOf: placeOf(place) };
  }

  /**
   * Only what moved leaves the database. undefined: some cursor is of a conversation that the user was never in, which
   * only shows beside all the others.
   */
  private async headsMoved(userId: UserId, cursors: ReadonlyMap<ConversationId, Seq>) {
    const [place, ...rows] = await this.database.query<HeadRow & PlaceRow & { readonly known: string }>(
      // A look-up for each of the user's conversations, and no join with the cursors: their number is nothing that a plan
      // made once for all could know.
      `WITH mine AS MATERIALIZED (
         SELECT heads.*, ($2::jsonb ->> heads.conversation_id::text)::bigint AS cursor
         FROM (${HEADS_OF_USER}) heads
       )
       SELECT NULL::uuid AS conversation_id, NULL::bigint AS head_seq, NULL::bigint AS active_at,
              NULL::bigint AS from_seq, NULL::bigint AS to_seq, NULL::boolean AS shared,
              (SELECT position FROM read.checkpoints WHERE projection = '${INBOX_PROJECTION}') AS position,
              (SELECT count(DISTINCT conversation_id) FROM mine WHERE cursor IS NOT NULL) AS known
       UNION ALL
       SELECT conversation_id, head_seq, active_at, from_seq, to_seq, shared, NULL, NULL FROM mine
       WHERE cursor IS DISTINCT FROM head_seq
          OR conversation_id IN (SELECT conversation_id FROM mine WHERE to_seq IS NOT NULL)
       ORDER BY active_at DESC NULLS FIRST, conversation_id DESC, from_seq`,
      [userId, JSON.stringify(Object.fromEntries(cursors))],
      'inbox.headsMoved',
    );
    if (Number(place?.known) !== cursors.size) return undefined;
    return { items: toHeads(rows), asOf: placeOf(place), leavesOut: true as const };
  }

  async head(userId: UserId, id: ConversationId): Promise<InboxHead | undefined> {
    return (await this.headsOf(userId, [id]))[0];
  }

  async members(
    id: ConversationId,
    options: { readonly limit: number; readonly after?: UserId },
  ): Promise<{ readonly items: readonly MemberView[]; readonly hasMore: boolean }> {
    const { limit, after } = options;
    // After somebody who has left meanwhile: from the place they had.
    const rows = await this.database.query<MemberRow>(
      `SELECT m.user_id, m.role, m.joined_at FROM read.inbox_members m
       WHERE m.conversation_id = $1 AND m.to_seq IS NULL
         AND ($2::uuid IS NULL OR (m.from_seq, m.user_id) > (
           SELECT p.from_seq, p.user_id FROM read.inbox_members p
           WHERE p.conversation_id = $1 AND p.user_id = $2 ORDER BY p.from_seq DESC LIMIT 1))
       ORDER BY m.from_seq, m.user_id LIMIT $3`,
      [id, after ?? null, limit + 1],
    );
    return { items: rows.slice(0, limit).map(toMember), hasMore: rows.length > limit };
  }

  private async headsOf(userId: UserId, ids: readonly string[]): Promise<readonly InboxHead[]> {
    const rows = await this.database.query<HeadRow>(
      `${HEADS_OF_USER} AND m.conversation_id = ANY ($2)
       ORDER BY c.active_at DESC, m.conversation_id DESC, m.from_seq`,
      [userId, ids],
      'inbox.headsOf',
    );
    return toHeads(rows);
  }

  private async toViews(userId: UserId, rows: readonly ViewRow[]): Promise<readonly ConversationView[]> {
    if (rows.length === 0) return [];
    const [members, messages] = await Promise.all([
      this.firstMembers(rows.map((row) => row.conversation_id)),
      this.lastMessages(userId, rows),
    ]);
    return rows.map((row) =>
      toView(row, members.get(row.conversation_id) ?? [], messages.get(row.conversation_id) ?? null),
    );
  }

  private async firstMembers(ids: readonly string[]): Promise<ReadonlyMap<string, readonly MemberView[]>> {
    const rows = await this.database.query<MemberRow & { readonly conversation_id: string }>(
      `SELECT asked.conversation_id, m.user_id, m.role, m.joined_at
       FROM unnest($1::uuid[]) AS asked(conversation_id)
       CROSS JOIN LATERAL (
         SELECT f.user_id, f.role, f.joined_at, f.from_seq FROM read.inbox_members f
         WHERE f.conversation_id = asked.conversation_id AND f.to_seq IS NULL
         ORDER BY f.from_seq, f.user_id LIMIT ${MEMBERS_IN_VIEW_MAX}
       ) m
       ORDER BY asked.conversation_id, m.from_seq, m.user_id`,
      [ids],
      'inbox.firstMembers',
    );
    const members = new Map<string, MemberView[]>();
    for (const row of rows) {
      const known = members.get(row.conversation_id);
      if (known === undefined) members.set(row.conversation_id, [toMember(row)]);
      else known.push(toMember(row));
    }
    return members;
  }

  private async lastMessages(
    userId: UserId,
    views: readonly ViewRow[],
  ): Promise<ReadonlyMap<string, MessageView>> {
    const some = views.filter((row) => row.last_seq !== null);
    if (some.length === 0) return new Map();
    const visible = await this.visibleIn(userId, some);
    const rows = await this.database.query<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS}
       FROM unnest($1::uuid[], $2::bigint[]) AS asked(conversation_id, seq)
       JOIN read.history_messages m USING (conversation_id, seq) ${lastEdit(3)}`,
      [
        some.map((row) => row.conversation_id),
        some.map((row) => row.last_seq),
        ...visibleParameters(visible),
      ],
      'inbox.lastMessages',
    );
    const messages = await toViews(this.database, userId, rows, visible);
    return new Map(messages.map((message) => [message.conversationId, message]));
  }

  /** Up to the heads that the views have: who is removed by now does not see what came after. */
  private async visibleIn(userId: UserId, views: readonly ViewRow[]): Promise<Visible> {
    const headOf = new Map(views.map((row) => [row.conversation_id, asSeq(Number(row.head_seq))]));
    const heads = await this.headsOf(userId, [...headOf.keys()]);
    return new Map(
      heads.map(({ conversationId, headSeq, historyVisibility, spans }) => [
        conversationId,
        clipped(visibleRanges(spans, historyVisibility), 0, headOf.get(conversationId) ?? headSeq),
      ]),
    );
  }
}

const toMember = (row: MemberRow): MemberView => ({
  userId: asUserId(row.user_id),
  role: row.role,
  joinedAt: asMillis(Number(row.joined_at)),
});

function toView(
  row: ViewRow,
  members: readonly MemberView[],
  lastMessage: MessageView | null,
): ConversationView {
  const { title, description, avatarFileId, ...settings } = row.details;
  const readUpTo = Number(row.read_up_to);
  return {
    id: asConversationId(row.conversation_id),
    kind: row.kind,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(avatarFileId === undefined ? {} : { avatarFileId }),
    members,
    memberCount: row.member_count,
    settings: withSettings(DEFAULT_SETTINGS, settings),
    headSeq: asSeq(Number(row.head_seq)),
    lastOrdinal: row.last_ordinal === '0' ? 0 : asOrdinal(Number(row.last_ordinal)),
    lastMessage,
    unreadCount: Number(row.unread),
    mentionCount: Number(row.mentions),
    readUpTo: readUpTo === -1 ? -1 : asSeq(readUpTo),
    createdAt: asMillis(Number(row.created_at)),
    activeAt: asMillis(Number(row.active_at)),
  };
}

const placeOf = (row: PlaceRow | undefined): Position =>
  row === undefined || row.position === null ? POSITION_START : parsePosition(row.position);

/** Of rows in the order of conversations and, within one, of joining. */
function toHeads(rows: readonly HeadRow[]): readonly InboxHead[] {
  const heads: (InboxHead & { readonly spans: InboxHead['spans'][number][] })[] = [];
  for (const row of rows) {
    const span = {
      from: asSeq(Number(row.from_seq)),
      to: row.to_seq === null ? undefined : asSeq(Number(row.to_seq)),
    };
    const last = heads.at(-1);
    if (last?.conversationId === row.conversation_id) last.spans.push(span);
    else {
      heads.push({
        conversationId: asConversationId(row.conversation_id),
        headSeq: asSeq(Number(row.head_seq)),
        activeAt: asMillis(Number(row.active_at)),
        historyVisibility: row.shared ? 'shared' : DEFAULT_SETTINGS.historyVisibility,
        spans: [span],
      });
    }
  }
  return heads;
}

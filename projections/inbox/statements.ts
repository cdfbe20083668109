import { RowStatement, userTag } from '../projection';

export const start = new RowStatement(
  'inbox.start',
  { conversation_id: 'uuid', kind: 'text', at: 'bigint', seq: 'bigint' },
  (rows) => `
    INSERT INTO inbox_conversations (conversation_id, kind, created_at, head_seq, active_at, active_seq)
    SELECT r.conversation_id, r.kind, r.at, r.seq, r.at, r.seq FROM ${rows}
    ON CONFLICT DO NOTHING`,
);

/** Title, settings and the like, one row for each that an event sets. The last one set of each name wins. */
export const setDetail = new RowStatement(
  'inbox.setDetail',
  { conversation_id: 'uuid', seq: 'bigint', name: 'text', value: 'jsonb' },
  (rows) => `
    UPDATE inbox_conversations c
    SET details = c.details || p.patch, details_seq = p.seq
    FROM (
      SELECT r.conversation_id, max(r.seq) AS seq, jsonb_object_agg(r.name, r.value ORDER BY r.seq) AS patch
      FROM ${rows} JOIN inbox_conversations known USING (conversation_id)
      WHERE r.seq > known.details_seq
      GROUP BY r.conversation_id
    ) p
    WHERE c.conversation_id = p.conversation_id`,
);

export const join = new RowStatement(
  'inbox.join',
  { conversation_id: 'uuid', user_id: 'uuid', seq: 'bigint', at: 'bigint', role: 'text' },
  (rows) => `
    INSERT INTO inbox_members (conversation_id, user_id, from_seq, joined_at, role, role_seq)
    SELECT r.conversation_id, r.user_id, r.seq, r.at, r.role, r.seq FROM ${rows}
    ON CONFLICT DO NOTHING`,
);

/** A time of membership ends with the first leaving after its beginning. */
export const leave = new RowStatement(
  'inbox.leave',
  { conversation_id: 'uuid', user_id: 'uuid', seq: 'bigint' },
  (rows) => `
    UPDATE inbox_members m
    SET to_seq = l.seq
    FROM (
      SELECT s.conversation_id, s.user_id, s.from_seq, min(r.seq) AS seq
      FROM ${rows} JOIN inbox_members s USING (conversation_id, user_id)
      WHERE s.from_seq < r.seq
      GROUP BY s.conversation_id, s.user_id, s.from_seq
    ) l
    WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id AND m.from_seq = l.from_seq
      AND (m.to_seq IS NULL OR m.to_seq > l.seq)`,
);

/** Changes the time of membership in which it happened; the last one wins. */
export const changeRole = new RowStatement(
  'inbox.changeRole',
  { conversation_id: 'uuid', user_id: 'uuid', seq: 'bigint', role: 'text' },
  (rows) => `
    UPDATE inbox_members m
    SET role = l.role, role_seq = l.seq
    FROM (
      SELECT DISTINCT ON (s.conversation_id, s.user_id, s.from_seq)
        s.conversation_id, s.user_id, s.from_seq, r.seq, r.role
      FROM ${rows} JOIN inbox_members s USING (conversation_id, user_id)
      WHERE s.from_seq < r.seq AND (s.to_seq IS NULL OR r.seq <= s.to_seq)
      ORDER BY s.conversation_id, s.user_id, s.from_seq, r.seq DESC
    ) l
    WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id AND m.from_seq = l.from_seq
      AND m.role_seq < l.seq`,
);

/**
 * Moves the cursor of the time of membership in which it happened: whoever comes back begins anew, as the
 * conversation's state has it. Only forward.
 */
export const moveRead = new RowStatement(
  'inbox.moveRead',
  { conversation_id: 'uuid', user_id: 'uuid', seq: 'bigint', up_to: 'bigint' },
  (rows) => `
    UPDATE inbox_members m
    SET read_up_to = l.up_to
    FROM (
      SELECT s.conversation_id, s.user_id, s.from_seq, max(r.up_to) AS up_to
      FROM ${rows} JOIN inbox_members s USING (conversation_id, user_id)
      WHERE s.from_seq < r.seq AND (s.to_seq IS NULL OR r.seq <= s.to_seq)
      GROUP BY s.conversation_id, s.user_id, s.from_seq
    ) l
    WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id AND m.from_seq = l.from_seq
      AND m.read_up_to < l.up_to`,
  {
    merging: {
      keyOf: ({ conversation_id, user_id }) => conversation_id + user_id,
      merge: (earlier, { conversation_id, user_id, seq, up_to }) => ({
        conversation_id,
        user_id,
        seq,
        up_to: Math.max(earlier.up_to, up_to),
      }),
      // The later seq of the two has to lie in the same time of membership as the earlier one.
      notAcross: [join, leave],
    },
  },
);

/** {@link moveRead} for packed cursors: nobody else who was a member then has the same last 24 bits in their id. */
export const moveReadByTag = new RowStatement(
  'inbox.moveReadByTag',
  { conversation_id: 'uuid', user_tag: 'integer', seq: 'bigint', up_to: 'bigint' },
  (rows) => `
    UPDATE inbox_members m
    SET read_up_to = l.up_to
    FROM (
      SELECT s.conversation_id, s.user_id, s.from_seq, max(r.up_to) AS up_to
      FROM ${rows} JOIN inbox_members s
        ON s.conversation_id = r.conversation_id AND ${userTag('s.user_id')} = r.user_tag
      WHERE s.from_seq < r.seq AND (s.to_seq IS NULL OR r.seq <= s.to_seq)
      GROUP BY s.conversation_id, s.user_id, s.from_seq
    ) l
    WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id AND m.from_seq = l.from_seq
      AND m.read_up_to < l.up_to`,
);

export const addMessage = new RowStatement(
  'inbox.addMessage',
  { conversation_id: 'uuid', seq: 'bigint', ordinal: 'bigint' },
  (rows) => `
    INSERT INTO inbox_messages (conversation_id, seq, ordinal)
    SELECT r.conversation_id, r.seq, r.ordinal FROM ${rows}
    ON CONFLICT DO NOTHING`,
  { copiesInto: 'inbox_messages' },
);

export const deleteMessage = new RowStatement(
  'inbox.deleteMessage',
  { conversation_id: 'uuid', target: 'bigint' },
  (rows) => `
    INSERT INTO inbox_deleted (conversation_id, seq)
    SELECT r.conversation_id, r.target FROM ${rows}
    ON CONFLICT DO NOTHING`,
);

export const addMention = new RowStatement(
  'inbox.addMention',
  { conversation_id: 'uuid', user_id: 'uuid', seq: 'bigint' },
  (rows) => `
    INSERT INTO inbox_mentions (conversation_id, user_id, seq)
    SELECT r.conversation_id, r.user_id, r.seq FROM ${rows}
    ON CONFLICT DO NOTHING`,
);

/** Counted again rather than counted up: a number that is added to drifts with the first batch applied twice. */
export const countMembers = new RowStatement(
  'inbox.countMembers',
  { conversation_id: 'uuid' },
  (rows) => `
    UPDATE inbox_conversations c
    SET member_count = n.members
    FROM (
      SELECT changed.conversation_id,
        (SELECT count(*) FROM inbox_members m
         WHERE m.conversation_id = changed.conversation_id AND m.to_seq IS NULL) AS members
      FROM (SELECT DISTINCT r.conversation_id FROM ${rows}) changed
    ) n
    WHERE c.conversation_id = n.conversation_id AND c.member_count <> n.members`,
  { merging: { keyOf: ({ conversation_id }) => conversation_id, merge: (_, later) => later } },
);

/** Every event moves the head; messages move the ordinal; messages and membership the activity. */
export const advance = new RowStatement(
  'inbox.advance',
  { conversation_id: 'uuid', seq: 'bigint', ordinal: 'bigint?', active_at: 'bigint?' },
  (rows) => `
    UPDATE inbox_conversations c
    SET head_seq = b.head_seq,
        last_ordinal = greatest(c.last_ordinal, b.last_ordinal),
        active_at = CASE WHEN b.active_seq > c.active_seq THEN b.active_at ELSE c.active_at END,
        active_seq = greatest(c.active_seq, b.active_seq)
    FROM (
      SELECT r.conversation_id,
        max(r.seq) AS head_seq,
        max(r.ordinal) AS last_ordinal,
        max(r.seq) FILTER (WHERE r.active_at IS NOT NULL) AS active_seq,
        (array_agg(r.active_at ORDER BY r.seq DESC) FILTER (WHERE r.active_at IS NOT NULL))[1] AS active_at
      FROM ${rows}
      GROUP BY r.conversation_id
    ) b
    WHERE c.conversation_id = b.conversation_id AND c.head_seq < b.head_seq`,
  {
    merging: {
      // The last event of all moves the head, the last one that counts as activity the rest: at most two rows.
      keyOf: ({ conversation_id, active_at }) => conversation_id + (active_at === null ? '' : '+'),
      merge: (earlier, { conversation_id, seq, ordinal, active_at }) => ({
        conversation_id,
        seq,
        ordinal: greatest(earlier.ordinal, ordinal),
        active_at,
      }),
    },
  },
);

function greatest(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}

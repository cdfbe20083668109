import { RowStatement, userTag } from '../projection';

const furthest = <Cursor extends { readonly up_to: number }>(one: Cursor, other: Cursor): Cursor =>
  one.up_to > other.up_to ? one : other;

export const join = new RowStatement(
  'cursors.join',
  { conversation_id: 'uuid', user_id: 'uuid', seq: 'bigint' },
  (rows) => `
    INSERT INTO cursors_members (conversation_id, user_id, from_seq)
    SELECT r.conversation_id, r.user_id, r.seq FROM ${rows}
    ON CONFLICT DO NOTHING`,
);

/** A time of membership ends with the first leaving after its beginning. */
export const leave = new RowStatement(
  'cursors.leave',
  { conversation_id: 'uuid', user_id: 'uuid', seq: 'bigint' },
  (rows) => `
    UPDATE cursors_members m
    SET to_seq = l.seq
    FROM (
      SELECT s.conversation_id, s.user_id, s.from_seq, min(r.seq) AS seq
      FROM ${rows} JOIN cursors_members s USING (conversation_id, user_id)
      WHERE s.from_seq < r.seq
      GROUP BY s.conversation_id, s.user_id, s.from_seq
    ) l
    WHERE m.conversation_id = l.conversation_id AND m.user_id = l.user_id AND m.from_seq = l.from_seq
      AND (m.to_seq IS NULL OR m.to_seq > l.seq)`,
);

export const moveDelivered = new RowStatement(
  'cursors.moveDelivered',
  { conversation_id: 'uuid', user_id: 'uuid', device_id: 'text', up_to: 'bigint' },
  (rows) => `
    INSERT INTO cursors_delivered AS c (conversation_id, user_id, device_id, up_to)
    SELECT r.conversation_id, r.user_id, r.device_id COLLATE "C", max(r.up_to)
    FROM ${rows}
    GROUP BY r.conversation_id, r.user_id, r.device_id COLLATE "C"
    ON CONFLICT (conversation_id, user_id, device_id)
    DO UPDATE SET up_to = excluded.up_to WHERE c.up_to < excluded.up_to`,
  {
    merging: {
      keyOf: ({ conversation_id, user_id, device_id }) => conversation_id + user_id + device_id,
      merge: furthest,
    },
  },
);

export const moveRead = new RowStatement(
  'cursors.moveRead',
  { conversation_id: 'uuid', user_id: 'uuid', up_to: 'bigint' },
  (rows) => `
    INSERT INTO cursors_read AS c (conversation_id, user_id, up_to)
    SELECT r.conversation_id, r.user_id, max(r.up_to)
    FROM ${rows}
    GROUP BY r.conversation_id, r.user_id
    ON CONFLICT (conversation_id, user_id)
    DO UPDATE SET up_to = excluded.up_to WHERE c.up_to < excluded.up_to`,
  { merging: { keyOf: ({ conversation_id, user_id }) => conversation_id + user_id, merge: furthest } },
);

/** Who had the tag when the event happened: the only one of the members then. */
const MEMBER_THEN = `cursors_members s
      ON s.conversation_id = r.conversation_id AND ${userTag('s.user_id')} = r.user_tag
        AND s.from_seq < r.seq AND (s.to_seq IS NULL OR r.seq <= s.to_seq)`;

export const moveDeliveredByTag = new RowStatement(
  'cursors.moveDeliveredByTag',
  { conversation_id: 'uuid', user_tag: 'integer', device_id: 'text', seq: 'bigint', up_to: 'bigint' },
  (rows) => `
    INSERT INTO cursors_delivered AS c (conversation_id, user_id, device_id, up_to)
    SELECT r.conversation_id, s.user_id, r.device_id COLLATE "C", max(r.up_to)
    FROM ${rows} JOIN ${MEMBER_THEN}
    GROUP BY r.conversation_id, s.user_id, r.device_id COLLATE "C"
    ON CONFLICT (conversation_id, user_id, device_id)
    DO UPDATE SET up_to = excluded.up_to WHERE c.up_to < excluded.up_to`,
);

export const moveReadByTag = new RowStatement(
  'cursors.moveReadByTag',
  { conversation_id: 'uuid', user_tag: 'integer', seq: 'bigint', up_to: 'bigint' },
  (rows) => `
    INSERT INTO cursors_read AS c (conversation_id, user_id, up_to)
    SELECT r.conversation_id, s.user_id, max(r.up_to)
    FROM ${rows} JOIN ${MEMBER_THEN}
    GROUP BY r.conversation_id, s.user_id
    ON CONFLICT (conversation_id, user_id)
    DO UPDATE SET up_to = excluded.up_to WHERE c.up_to < excluded.up_to`,
);

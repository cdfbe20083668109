CREATE SCHEMA IF NOT EXISTS read;

-- One row per conversation, one update per conversation and batch whatever the size of the group. No index
-- but the key: updates stay inside the page (HOT), hence the room left in each.
CREATE TABLE IF NOT EXISTS read.inbox_conversations (
  conversation_id  uuid   PRIMARY KEY,
  kind             text   NOT NULL,
  created_at       bigint NOT NULL,
  -- title, description, avatarFileId and the settings by name, as far as anybody has set them.
  details          jsonb  NOT NULL DEFAULT '{}',
  -- Seq of the last event in details: earlier ones change nothing.
  details_seq      bigint NOT NULL DEFAULT -1,
  head_seq         bigint NOT NULL,
  last_ordinal     bigint NOT NULL DEFAULT 0,
  -- Milliseconds since the epoch of the last message or change of membership, and that event's seq.
  active_at        bigint NOT NULL,
  active_seq       bigint NOT NULL,
  member_count     integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- One row per time of membership: from the joining seq to, and including, the leaving one.
CREATE TABLE IF NOT EXISTS read.inbox_members (
  conversation_id uuid   NOT NULL,
  user_id         uuid   NOT NULL,
  from_seq        bigint NOT NULL,
  -- NULL: still a member.
  to_seq          bigint,
  joined_at       bigint NOT NULL,
  role            text   NOT NULL,
  role_seq        bigint NOT NULL,
  -- -1: nothing read in this time of membership.
  read_up_to      bigint NOT NULL DEFAULT -1,
  PRIMARY KEY (conversation_id, user_id, from_seq)
) WITH (fillfactor = 70);
-- With all that paging through an inbox asks of a membership, and nothing that reading a message changes.
CREATE INDEX IF NOT EXISTS inbox_members_of_user
  ON read.inbox_members (user_id, conversation_id, from_seq, to_seq);
CREATE INDEX IF NOT EXISTS inbox_members_current
  ON read.inbox_members (conversation_id, from_seq, user_id) WHERE to_seq IS NULL;

-- Which seq is which ordinal: a read cursor is a seq, an unread count a difference of ordinals.
CREATE TABLE IF NOT EXISTS read.inbox_messages (
  conversation_id uuid   NOT NULL,
  seq             bigint NOT NULL,
  ordinal         bigint NOT NULL,
  PRIMARY KEY (conversation_id, seq)
);

-- Messages deleted for everyone, by their own seq: they no longer count as unread.
CREATE TABLE IF NOT EXISTS read.inbox_deleted (
  conversation_id uuid   NOT NULL,
  seq             bigint NOT NULL,
  PRIMARY KEY (conversation_id, seq)
);

CREATE TABLE IF NOT EXISTS read.inbox_mentions (
  conversation_id uuid   NOT NULL,
  user_id         uuid   NOT NULL,
  seq             bigint NOT NULL,
  PRIMARY KEY (conversation_id, user_id, seq)
);

CREATE SCHEMA IF NOT EXISTS read;

-- Messages as they were sent; what was made of them since lies beside, by seq, so that somebody whose membership
-- ended reads them as they were within their times. Partitioned by conversation, so that indexes stay shallow and
-- vacuum works in pieces.
CREATE TABLE IF NOT EXISTS read.history_messages (
  conversation_id   uuid   NOT NULL,
  seq               bigint NOT NULL,
  ordinal           bigint NOT NULL,
  message_id        uuid   NOT NULL,
  client_message_id text   NOT NULL,
  sender_id         uuid   NOT NULL,
  sent_at           bigint NOT NULL,
  -- NULL: deleted for everyone, and with it the contents of all its edits.
  content           jsonb,
  reply_to          bigint,
  thread_of         bigint,
  -- forwardedFrom, mentions, expiresAt, originalAt: what few messages have.
  extra             jsonb,
  deleted_at        bigint,
  PRIMARY KEY (conversation_id, seq)
) PARTITION BY HASH (conversation_id);

DO $$
BEGIN
  FOR remainder IN 0..15 LOOP
    EXECUTE format(
      'CREATE TABLE IF NOT EXISTS read.history_messages_%s PARTITION OF read.history_messages
         FOR VALUES WITH (MODULUS 16, REMAINDER %s)', remainder, remainder);
  END LOOP;
END
$$;

-- Every edit, by the seq of its event.
CREATE TABLE IF NOT EXISTS read.history_edits (
  conversation_id uuid    NOT NULL,
  target          bigint  NOT NULL,
  seq             bigint  NOT NULL,
  version         integer NOT NULL,
  edited_at       bigint  NOT NULL,
  -- NULL: the message is deleted for everyone.
  content         jsonb,
  PRIMARY KEY (conversation_id, target, seq)
);

-- Every change of a reaction, by the seq of its event: the last one that somebody may see is theirs.
CREATE TABLE IF NOT EXISTS read.history_reactions (
  conversation_id uuid    NOT NULL,
  target          bigint  NOT NULL,
  emoji           text    COLLATE "C" NOT NULL,
  user_id         uuid    NOT NULL,
  seq             bigint  NOT NULL,
  is_on           boolean NOT NULL,
  PRIMARY KEY (conversation_id, target, emoji, user_id, seq)
);

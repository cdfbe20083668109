CREATE SCHEMA IF NOT EXISTS read;

-- Every key ever used, for ever: the word on keys that the window of a conversation's state has forgotten.
CREATE TABLE IF NOT EXISTS read.dedupe_messages (
  conversation_id   uuid   NOT NULL,
  sender_id         uuid   NOT NULL,
  client_message_id text   COLLATE "C" NOT NULL,
  seq               bigint NOT NULL,
  ordinal           bigint NOT NULL,
  message_id        uuid   NOT NULL,
  content_hash      text   NOT NULL,
  sent_at           bigint NOT NULL,
  PRIMARY KEY (conversation_id, sender_id, client_message_id)
);

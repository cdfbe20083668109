-- Delete for me: a person's own choice, in no log, so it is kept with the data that is backed up.
CREATE SCHEMA IF NOT EXISTS app;

CREATE TABLE IF NOT EXISTS app.hidden_messages (
  user_id         uuid        NOT NULL,
  conversation_id uuid        NOT NULL,
  seq             bigint      NOT NULL,
  hidden_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, conversation_id, seq)
);

-- Messages that disappear and have not yet, by their time, for the worker that deletes them. Nothing for all others.
CREATE INDEX IF NOT EXISTS history_messages_expiring
  ON read.history_messages (((extra ->> 'expiresAt') COLLATE "C"))
  WHERE extra ? 'expiresAt' AND content IS NOT NULL;

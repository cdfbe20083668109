-- Files that an import has finished. A shortcut for the next run, never the truth: the log is (tools/import).
CREATE TABLE app.import_progress (
  conversation_id uuid NOT NULL,
  file text NOT NULL,
  digest text NOT NULL,
  last_step uuid NOT NULL,
  last_seq bigint NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (conversation_id, file)
);

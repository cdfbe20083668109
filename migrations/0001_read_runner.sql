-- Read models: everything in this schema is derived from the log and may be dropped; the next start makes the
-- tables again and the projector fills them from the first event on. That is why files named *_read_* only
-- ever say IF NOT EXISTS: they are applied again when the schema is gone (src/infrastructure/postgres/migrate.ts).
CREATE SCHEMA IF NOT EXISTS read;

-- Who may write which group of read models. The token rises with every change of owner; a transaction that
-- holds an older one rolls back, so a projector that was stopped and woken can never write.
CREATE TABLE IF NOT EXISTS read.leases (
  name       text        PRIMARY KEY,
  owner      text        NOT NULL,
  token      bigint      NOT NULL,
  expires_at timestamptz NOT NULL
);

-- How far each projection is; written in the transaction that wrote its rows. numeric, because the store's
-- positions are unsigned 64-bit numbers.
CREATE TABLE IF NOT EXISTS read.checkpoints (
  projection       text           PRIMARY KEY,
  position         text           NOT NULL,
  commit_position  numeric(20, 0) NOT NULL,
  prepare_position numeric(20, 0) NOT NULL,
  updated_at       timestamptz    NOT NULL DEFAULT now()
);

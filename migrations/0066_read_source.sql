-- Which log the read models were made from: its positions are what checkpoints count. One row. Read models of another
-- log, or of the same log before an older copy was put in its place, are made anew (src/infrastructure/postgres/source-log.ts).
CREATE TABLE IF NOT EXISTS read.source (
  one       boolean PRIMARY KEY DEFAULT true CHECK (one),
  numbering text    NOT NULL
);

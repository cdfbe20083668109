CREATE SCHEMA IF NOT EXISTS read;

-- Times of membership, from the joining seq to, and including, the leaving one: cursors of large groups name only
-- the last 24 bits of a user, which tell apart those who were members at the time. The tables of the cursors
-- themselves are those of v1; v2 fills them again from the first event on, and the greatest cursor stays.
CREATE TABLE IF NOT EXISTS read.cursors_members (
  conversation_id uuid   NOT NULL,
  user_id         uuid   NOT NULL,
  from_seq        bigint NOT NULL,
  -- NULL: still a member.
  to_seq          bigint,
  PRIMARY KEY (conversation_id, user_id, from_seq)
) WITH (fillfactor = 70);

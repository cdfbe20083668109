CREATE SCHEMA IF NOT EXISTS read;

CREATE TABLE IF NOT EXISTS read.cursors_delivered (
  conversation_id uuid   NOT NULL,
  user_id         uuid   NOT NULL,
  device_id       text   COLLATE "C" NOT NULL,
  up_to           bigint NOT NULL,
  PRIMARY KEY (conversation_id, user_id, device_id)
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS read.cursors_read (
  conversation_id uuid   NOT NULL,
  user_id         uuid   NOT NULL,
  up_to           bigint NOT NULL,
  PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 70);

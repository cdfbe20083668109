-- People and their sign-ins: not derived from the log, so backed up as such (docs/architecture.md).
CREATE SCHEMA IF NOT EXISTS app;

CREATE TABLE app.users (
  id uuid PRIMARY KEY,
  username text NOT NULL CHECK (char_length(username) BETWEEN 1 AND 64),
  -- The user name in lower case: one spelling, one person. Byte order, so that a prefix is a range of the index.
  username_key text COLLATE "C" NOT NULL UNIQUE,
  display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 128),
  -- Null: nobody can sign in with a password, as with imported people.
  password_hash text,
  avatar_file_id uuid,
  status_message text CHECK (char_length(status_message) <= 256),
  privacy jsonb NOT NULL DEFAULT '{}'::jsonb,
  last_seen_at timestamptz,
  -- Where an imported person comes from.
  source text,
  created_at timestamptz NOT NULL
);

-- One row a login. The id is the `sid` of its access tokens and the family of its refresh tokens.
CREATE TABLE app.sign_ins (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES app.users (id) ON DELETE CASCADE,
  -- The device last seen with it; null until a socket said so.
  device_id text,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  end_reason text CHECK (end_reason IN ('logout', 'deviceRemoved', 'tokenReused'))
);
CREATE INDEX sign_ins_of_user ON app.sign_ins (user_id, device_id) WHERE ended_at IS NULL;
CREATE INDEX sign_ins_ended ON app.sign_ins (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE app.refresh_tokens (
  -- SHA-256 of the token: a stolen table lets nobody in.
  token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
  sign_in_id uuid NOT NULL REFERENCES app.sign_ins (id) ON DELETE CASCADE,
  expires_at timestamptz NOT NULL,
  -- A used token is kept until it expires, because its reuse is what betrays a thief.
  used_at timestamptz
);
CREATE INDEX refresh_tokens_by_expiry ON app.refresh_tokens (expires_at);
CREATE INDEX refresh_tokens_of_sign_in ON app.refresh_tokens (sign_in_id);

CREATE TABLE app.devices (
  user_id uuid NOT NULL REFERENCES app.users (id) ON DELETE CASCADE,
  id text NOT NULL CHECK (char_length(id) BETWEEN 1 AND 64),
  sign_in_id uuid NOT NULL,
  name text,
  platform text,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, id)
);

CREATE TABLE app.blocks (
  user_id uuid NOT NULL REFERENCES app.users (id) ON DELETE CASCADE,
  blocked_id uuid NOT NULL REFERENCES app.users (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, blocked_id),
  CHECK (user_id <> blocked_id)
);

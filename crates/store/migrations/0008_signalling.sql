-- Access keys of clients that sign requests. The secret is kept in clear: a signature is verified by signing once more.
-- A lasting key has a row in api_tokens of its own, which opens nothing else; a temporary one names the token that minted it.
CREATE TABLE access_keys (
    id            TEXT PRIMARY KEY,
    project_id    BIGINT NOT NULL REFERENCES projects (id),
    token_id      BIGINT NOT NULL REFERENCES api_tokens (id),
    name          TEXT NOT NULL,
    secret        TEXT NOT NULL,
    session_token TEXT,
    preset        TEXT NOT NULL,
    channel       TEXT,
    client        TEXT,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    revoked_at    BIGINT
);
CREATE INDEX access_keys_by_project ON access_keys (project_id, created_at) WHERE session_token IS NULL;
CREATE INDEX access_keys_by_expiry ON access_keys (expires_at) WHERE session_token IS NOT NULL;

CREATE TABLE signal_channels (
    id          {ordered_identity},
    project_id  BIGINT NOT NULL REFERENCES projects (id),
    name        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    version     TEXT NOT NULL,
    message_ttl BIGINT NOT NULL,
    UNIQUE (project_id, name)
);

CREATE TABLE signal_channel_tags (
    channel_id BIGINT NOT NULL REFERENCES signal_channels (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (channel_id, name)
);

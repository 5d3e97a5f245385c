CREATE TABLE organizations (
    id         INTEGER PRIMARY KEY,
    slug       TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE projects (
    id              INTEGER PRIMARY KEY,
    organization_id BIGINT NOT NULL REFERENCES organizations (id),
    slug            TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    UNIQUE (organization_id, slug)
);

CREATE TABLE api_tokens (
    id         INTEGER PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Times are milliseconds since 1970. The secret is kept in clear: the relay must derive HMAC keys from it.
CREATE TABLE credentials (
    username         TEXT PRIMARY KEY,
    secret           TEXT NOT NULL,
    user_hash        BLOB NOT NULL,
    project_id       BIGINT NOT NULL REFERENCES projects (id),
    token_id         BIGINT NOT NULL REFERENCES api_tokens (id),
    room             TEXT,
    initiator_client TEXT,
    receiver_client  TEXT,
    client_type      TEXT,
    region           TEXT NOT NULL,
    issued_at        BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX credentials_by_user_hash ON credentials (user_hash);

CREATE TABLE organizations (
    id         {identity} PRIMARY KEY,
    slug       TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE projects (
    id              {identity} PRIMARY KEY,
    organization_id BIGINT NOT NULL REFERENCES organizations (id),
    slug            TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    UNIQUE (organization_id, slug)
);

CREATE TABLE api_tokens (
    id         {identity} PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    hash       {bytes} NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Times are milliseconds since 1970. The secret is kept in clear: the relay must derive HMAC keys from it.
CREATE TABLE credentials (
    username         TEXT PRIMARY KEY,
    secret           TEXT NOT NULL,
    user_hash        {bytes} NOT NULL,
    project_id       BIGINT NOT NULL REFERENCES projects (id),
    token_id         BIGINT NOT NULL REFERENCES api_tokens (id),
    room             TEXT,
    initiator_client TEXT,
    receiver_client  TEXT,
    client_type      TEXT,
    region           TEXT NOT NULL,
    issued_at        BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
){clustered};

CREATE INDEX credentials_by_user_hash ON credentials (user_hash);

-- Identities start above the rows that every store has from its first start on.
-- {postgres} SELECT setval(pg_get_serial_sequence('organizations', 'id'), 1000);
-- {postgres} SELECT setval(pg_get_serial_sequence('projects', 'id'), 1000);

-- Voice connections: what clients of the JSON-RPC dialect log in to, and applications that only have webhooks. The password
-- is kept in clear: its owner reads it back. `document` is the family's own record of what it was given.
CREATE TABLE voice_connections (
    id                   {ordered_identity},
    project_id           BIGINT NOT NULL REFERENCES projects (id),
    kind                 TEXT NOT NULL,
    name                 TEXT NOT NULL,
    user_name            TEXT UNIQUE,
    password             TEXT,
    is_active            BIGINT NOT NULL,
    parks_calls          BIGINT NOT NULL,
    rings_all            BIGINT NOT NULL,
    dialled_by_number    BIGINT NOT NULL,
    uri_calls            TEXT NOT NULL,
    ring_secs            BIGINT NOT NULL,
    webhook_url          TEXT,
    webhook_failover_url TEXT,
    webhook_timeout_secs BIGINT,
    document             TEXT NOT NULL,
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL
);
CREATE INDEX voice_connections_by_project ON voice_connections (project_id, kind, created_at);

-- Users of a connection that are made by the application. `token_secret` signs their tokens: another one takes them all back.
CREATE TABLE voice_credentials (
    id            TEXT PRIMARY KEY,
    connection_id BIGINT NOT NULL REFERENCES voice_connections (id) ON DELETE CASCADE,
    project_id    BIGINT NOT NULL REFERENCES projects (id),
    name          TEXT,
    tag           TEXT,
    user_name     TEXT NOT NULL UNIQUE,
    password      TEXT NOT NULL,
    token_secret  TEXT NOT NULL,
    expires_at    BIGINT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX voice_credentials_by_project ON voice_credentials (project_id, created_at);
CREATE INDEX voice_credentials_by_connection ON voice_credentials (connection_id);

-- One key pair per organization signs what its voice webhooks are told: the private half as PKCS #8.
CREATE TABLE voice_keys (
    organization_id BIGINT PRIMARY KEY REFERENCES organizations (id),
    private_key     {bytes} NOT NULL,
    created_at      BIGINT NOT NULL
);

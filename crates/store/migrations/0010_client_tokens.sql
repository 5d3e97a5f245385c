-- Keys that sign client tokens, in clear: every server of the database signs with the one that has no end.
CREATE TABLE client_signing_keys (
    kid            TEXT PRIMARY KEY,
    pkcs8          {bytes} NOT NULL,
    created_at     BIGINT NOT NULL,
    verifies_until BIGINT
);

-- The label of a project in its clients' tokens and domains.
CREATE TABLE client_accounts (
    project_id BIGINT PRIMARY KEY REFERENCES projects (id),
    access     TEXT NOT NULL UNIQUE
);

-- Never the token itself. callees: patterns with commas between them.
CREATE TABLE client_tokens (
    id              TEXT PRIMARY KEY,
    project_id      BIGINT NOT NULL REFERENCES projects (id),
    token_id        BIGINT NOT NULL REFERENCES api_tokens (id),
    client          TEXT NOT NULL,
    issued_at       BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    allows_incoming BIGINT NOT NULL,
    callees         TEXT NOT NULL,
    revoked_at      BIGINT
);
CREATE INDEX client_tokens_by_project ON client_tokens (project_id, issued_at, id);
CREATE INDEX client_tokens_by_client ON client_tokens (project_id, client, issued_at, id);
CREATE INDEX client_tokens_by_expiry ON client_tokens (expires_at);
CREATE INDEX client_tokens_revoked ON client_tokens (expires_at) WHERE revoked_at IS NOT NULL;

-- month: 2026-11, UTC.
CREATE TABLE client_token_counts (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    month      TEXT NOT NULL,
    minted     BIGINT NOT NULL,
    PRIMARY KEY (project_id, month)
);

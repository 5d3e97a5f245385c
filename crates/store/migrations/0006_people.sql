-- People of an organization. Behind each stands a row of api_tokens whose value nobody has: what they mint is its.
CREATE TABLE users (
    id              {identity} PRIMARY KEY,
    organization_id BIGINT NOT NULL REFERENCES organizations (id),
    email           TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    role            TEXT NOT NULL,
    password_hash   TEXT,
    provider_id     TEXT UNIQUE,
    is_disabled     BIGINT NOT NULL DEFAULT 0,
    created_at      BIGINT NOT NULL,
    last_seen_at    BIGINT
);
ALTER TABLE api_tokens ADD COLUMN user_id BIGINT;
CREATE UNIQUE INDEX api_tokens_by_user ON api_tokens (user_id) WHERE user_id IS NOT NULL;
ALTER TABLE audit_log ADD COLUMN user_id BIGINT;

CREATE TABLE sign_ins (
    hash         {bytes} NOT NULL UNIQUE,
    user_id      BIGINT NOT NULL REFERENCES users (id),
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_user ON sign_ins (user_id, created_at);

-- user_id is null in the link that makes the first owner.
CREATE TABLE one_time_links (
    hash            {bytes} NOT NULL UNIQUE,
    organization_id BIGINT NOT NULL REFERENCES organizations (id),
    kind            TEXT NOT NULL,
    user_id         BIGINT REFERENCES users (id),
    expires_at      BIGINT NOT NULL
);

CREATE TABLE settings (
    organization_id BIGINT NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL,
    value           TEXT NOT NULL,
    PRIMARY KEY (organization_id, name)
);

-- What backends of voice connections are still to be told. A server holds what it delivers and says so again and again: what nobody
-- holds is taken over. A call's events go out by number.
CREATE TABLE voice_deliveries (
    number          {ordered_identity},
    event           TEXT NOT NULL UNIQUE,
    project_id      BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    organization_id BIGINT NOT NULL,
    call_id         TEXT NOT NULL,
    event_type      TEXT NOT NULL,
    body            TEXT NOT NULL,
    url             TEXT NOT NULL,
    failover_url    TEXT,
    timeout_ms      BIGINT,
    attempts        BIGINT NOT NULL,
    step            BIGINT NOT NULL,
    next_at         BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    holder          TEXT NOT NULL,
    held_until      BIGINT NOT NULL
);
CREATE INDEX voice_deliveries_by_holder ON voice_deliveries (holder, held_until);
CREATE INDEX voice_deliveries_by_age ON voice_deliveries (created_at);

-- What the last attempts came to.
CREATE TABLE voice_attempts (
    number     {ordered_identity},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    event      TEXT NOT NULL,
    event_type TEXT NOT NULL,
    url        TEXT NOT NULL,
    attempt    BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    status     BIGINT,
    error      TEXT
);
CREATE INDEX voice_attempts_by_project ON voice_attempts (project_id, number);
CREATE INDEX voice_attempts_by_age ON voice_attempts (at);

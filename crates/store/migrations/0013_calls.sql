-- Calls between clients that are over. callees: names with commas between them, as no client id has one.
CREATE TABLE calls (
    id               TEXT PRIMARY KEY,
    project_id       BIGINT NOT NULL REFERENCES projects (id),
    node             TEXT NOT NULL,
    caller           TEXT NOT NULL,
    callees          TEXT NOT NULL,
    dialect          TEXT NOT NULL,
    client_address   TEXT,
    user_agent       TEXT,
    started_at       BIGINT NOT NULL,
    ringing_at       BIGINT,
    answered_at      BIGINT,
    answered_by      TEXT,
    answered_address TEXT,
    ended_at         BIGINT NOT NULL,
    cause            TEXT NOT NULL,
    sip_code         BIGINT NOT NULL,
    ended_by         TEXT NOT NULL
);
CREATE INDEX calls_by_project ON calls (project_id, started_at, id);
CREATE INDEX calls_by_end ON calls (ended_at);

-- Who takes part in a call: the caller and whoever was called.
CREATE TABLE call_clients (
    project_id BIGINT NOT NULL,
    client     TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    call_id    TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    PRIMARY KEY (project_id, client, started_at, call_id)
);

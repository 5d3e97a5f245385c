-- What explains a session: a line per mark, points of its bitrate, first payload each way.
ALTER TABLE sessions ADD COLUMN marks TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN marks_folded BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN bitrate TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN first_sent_ms BIGINT;
ALTER TABLE sessions ADD COLUMN first_heard_ms BIGINT;
ALTER TABLE sessions ADD COLUMN udp_unanswered_ms BIGINT;

-- Equal refusals of a minute are one row. The names of both clients are there when they share a credential.
CREATE TABLE failures (
    id             TEXT PRIMARY KEY,
    project_id     BIGINT NOT NULL REFERENCES projects (id),
    first_at       BIGINT NOT NULL,
    last_at        BIGINT NOT NULL,
    times          BIGINT NOT NULL,
    folded         BIGINT NOT NULL,
    reason         TEXT NOT NULL,
    username       TEXT,
    room           TEXT,
    client         TEXT,
    second_client  TEXT,
    role           TEXT,
    transport      TEXT,
    listener       TEXT,
    client_address TEXT,
    session_id     TEXT,
    expired_ms     BIGINT,
    limit_name     TEXT,
    peer           TEXT,
    rule           TEXT
){clustered};
CREATE INDEX failures_by_time ON failures (project_id, first_at, id);
CREATE INDEX failures_by_reason ON failures (project_id, reason, first_at, id);
CREATE INDEX failures_by_room ON failures (project_id, room, first_at, id) WHERE room IS NOT NULL;
CREATE INDEX failures_by_client ON failures (project_id, client, first_at, id) WHERE client IS NOT NULL;
CREATE INDEX failures_by_second_client ON failures (project_id, second_client) WHERE second_client IS NOT NULL;

-- A link of the connection doctor: whoever holds its token may fetch a short credential a few times, and report.
CREATE TABLE doctor_links (
    id          {identity} PRIMARY KEY,
    project_id  BIGINT NOT NULL REFERENCES projects (id),
    token_id    BIGINT NOT NULL,
    hash        {bytes} NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    opened      BIGINT NOT NULL DEFAULT 0,
    opened_max  BIGINT NOT NULL
);
CREATE INDEX doctor_links_by_project ON doctor_links (project_id, id);
CREATE INDEX doctor_links_by_expiry ON doctor_links (expires_at);

CREATE TABLE doctor_results (
    id      {identity} PRIMARY KEY,
    link_id BIGINT NOT NULL REFERENCES doctor_links (id) ON DELETE CASCADE,
    at      BIGINT NOT NULL,
    body    TEXT NOT NULL
);
CREATE INDEX doctor_results_by_link ON doctor_results (link_id, id);

-- Flags are 0 or 1; text before ids so that both databases read the same.
ALTER TABLE projects ADD COLUMN is_disabled BIGINT NOT NULL DEFAULT 0;

ALTER TABLE api_tokens ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE api_tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT 'credentials,read,admin';
ALTER TABLE api_tokens ADD COLUMN is_organization_wide BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_tokens ADD COLUMN last_used_at BIGINT;
ALTER TABLE api_tokens ADD COLUMN expires_at BIGINT;
ALTER TABLE api_tokens ADD COLUMN revoked_at BIGINT;

ALTER TABLE credentials ADD COLUMN revoked_at BIGINT;
ALTER TABLE credentials ADD COLUMN bytes_max BIGINT;
ALTER TABLE credentials ADD COLUMN allocations_max BIGINT;
ALTER TABLE credentials ADD COLUMN bandwidth BIGINT;
ALTER TABLE credentials ADD COLUMN client_ip TEXT;
ALTER TABLE credentials ADD COLUMN peer_scope TEXT NOT NULL DEFAULT 'any';
ALTER TABLE credentials ADD COLUMN metadata TEXT;
CREATE INDEX credentials_by_project ON credentials (project_id, issued_at, username);
CREATE INDEX credentials_by_room ON credentials (project_id, room) WHERE room IS NOT NULL;
CREATE INDEX credentials_by_initiator ON credentials (project_id, initiator_client) WHERE initiator_client IS NOT NULL;
CREATE INDEX credentials_by_receiver ON credentials (project_id, receiver_client) WHERE receiver_client IS NOT NULL;
CREATE INDEX credentials_by_expiry ON credentials (expires_at);

-- User names that no issued credential has (TURN REST), refused until a time.
CREATE TABLE refused_names (
    username      TEXT PRIMARY KEY,
    project_id    BIGINT NOT NULL REFERENCES projects (id),
    refused_until BIGINT NOT NULL
);

-- One row per allocation. client_* are whole TURN messages at the client side, peer_* are payload.
CREATE TABLE sessions (
    id               TEXT PRIMARY KEY,
    number           BIGINT NOT NULL,
    node             TEXT NOT NULL,
    project_id       BIGINT NOT NULL REFERENCES projects (id),
    token_id         BIGINT,
    username         TEXT NOT NULL,
    credential_kind  TEXT NOT NULL,
    room             TEXT,
    region           TEXT NOT NULL,
    transport        TEXT NOT NULL,
    relay_transport  TEXT NOT NULL,
    listener         TEXT NOT NULL,
    client_address   TEXT NOT NULL,
    relayed_first    TEXT,
    relayed_second   TEXT,
    tls_version      TEXT,
    tls_cipher       TEXT,
    started_at       BIGINT NOT NULL,
    last_seen_at     BIGINT NOT NULL,
    ended_at         BIGINT,
    end_reason       TEXT,
    client_bytes_in    BIGINT NOT NULL,
    client_bytes_out   BIGINT NOT NULL,
    client_packets_in  BIGINT NOT NULL,
    client_packets_out BIGINT NOT NULL,
    peer_bytes_in    BIGINT NOT NULL,
    peer_bytes_out   BIGINT NOT NULL,
    peer_packets_in  BIGINT NOT NULL,
    peer_packets_out BIGINT NOT NULL,
    first_data_ms    BIGINT,
    peers            TEXT NOT NULL,
    refusals         BIGINT NOT NULL,
    moves            BIGINT NOT NULL
);
CREATE INDEX sessions_by_start ON sessions (project_id, started_at, id);
CREATE INDEX sessions_by_room ON sessions (project_id, room, started_at, id) WHERE room IS NOT NULL;
CREATE INDEX sessions_by_username ON sessions (project_id, username, started_at, id);
CREATE INDEX sessions_live ON sessions (project_id, room, started_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_left_open ON sessions (node) WHERE ended_at IS NULL;

CREATE TABLE session_clients (
    project_id BIGINT NOT NULL,
    client     TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    role       TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    PRIMARY KEY (session_id, client)
);
CREATE INDEX session_clients_by_client ON session_clients (project_id, client, started_at, session_id);

CREATE TABLE rooms (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    sessions   BIGINT NOT NULL DEFAULT 0,
    bytes_in   BIGINT NOT NULL DEFAULT 0,
    bytes_out  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, name)
);

CREATE TABLE clients (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    name       TEXT NOT NULL,
    roles      TEXT NOT NULL DEFAULT '',
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    sessions   BIGINT NOT NULL DEFAULT 0,
    bytes_in   BIGINT NOT NULL DEFAULT 0,
    bytes_out  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, name)
);

CREATE TABLE room_clients (
    project_id BIGINT NOT NULL,
    room       TEXT NOT NULL,
    client     TEXT NOT NULL,
    PRIMARY KEY (project_id, room, client)
);
CREATE INDEX room_clients_by_client ON room_clients (project_id, client, room);

-- The hour is its start in milliseconds. Empty text stands for "no such label": a key column may not be null.
CREATE TABLE usage_hours (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    hour       BIGINT NOT NULL,
    room       TEXT NOT NULL,
    region     TEXT NOT NULL,
    token_id   BIGINT NOT NULL,
    transport  TEXT NOT NULL,
    bytes_in   BIGINT NOT NULL,
    bytes_out  BIGINT NOT NULL,
    sessions   BIGINT NOT NULL,
    millis     BIGINT NOT NULL,
    PRIMARY KEY (project_id, hour, room, region, token_id, transport)
);

CREATE TABLE usage_client_hours (
    project_id BIGINT NOT NULL REFERENCES projects (id),
    hour       BIGINT NOT NULL,
    client     TEXT NOT NULL,
    bytes_in   BIGINT NOT NULL,
    bytes_out  BIGINT NOT NULL,
    sessions   BIGINT NOT NULL,
    millis     BIGINT NOT NULL,
    PRIMARY KEY (project_id, hour, client)
);

CREATE TABLE audit_log (
    id         {identity} PRIMARY KEY,
    at         BIGINT NOT NULL,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    token_id   BIGINT,
    action     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    detail     TEXT NOT NULL
);
CREATE INDEX audit_log_by_project ON audit_log (project_id, id);

CREATE TABLE webhooks (
    id              {identity} PRIMARY KEY,
    project_id      BIGINT NOT NULL REFERENCES projects (id),
    url             TEXT NOT NULL,
    secret          TEXT NOT NULL,
    previous_secret TEXT,
    events          TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    delivered_to    BIGINT NOT NULL,
    is_disabled     BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE events (
    place      BIGINT PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES projects (id),
    session    TEXT NOT NULL,
    name       TEXT NOT NULL,
    at         BIGINT NOT NULL,
    body       TEXT NOT NULL
);
CREATE INDEX events_by_project ON events (project_id, place);
CREATE INDEX events_by_time ON events (at);

CREATE TABLE webhook_attempts (
    id         {identity} PRIMARY KEY,
    webhook_id BIGINT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    place      BIGINT NOT NULL,
    attempt    BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    status     BIGINT,
    error      TEXT,
    took_ms    BIGINT NOT NULL
);
CREATE INDEX webhook_attempts_by_webhook ON webhook_attempts (webhook_id, id);

-- SQLite: rows one after another, as they are written, and small indexes beside them. Rows that lie in the order of their
-- random user names cost a page of their own each.
-- {sqlite} ALTER TABLE credentials RENAME TO credentials_before;
-- {sqlite} CREATE TABLE credentials (
-- {sqlite}     username         TEXT NOT NULL PRIMARY KEY,
-- {sqlite}     secret           TEXT NOT NULL,
-- {sqlite}     user_hash        BLOB NOT NULL,
-- {sqlite}     project_id       BIGINT NOT NULL REFERENCES projects (id),
-- {sqlite}     token_id         BIGINT NOT NULL REFERENCES api_tokens (id),
-- {sqlite}     room             TEXT,
-- {sqlite}     initiator_client TEXT,
-- {sqlite}     receiver_client  TEXT,
-- {sqlite}     client_type      TEXT,
-- {sqlite}     region           TEXT NOT NULL,
-- {sqlite}     issued_at        BIGINT NOT NULL,
-- {sqlite}     expires_at       BIGINT NOT NULL,
-- {sqlite}     revoked_at       BIGINT,
-- {sqlite}     bytes_max        BIGINT,
-- {sqlite}     allocations_max  BIGINT,
-- {sqlite}     bandwidth        BIGINT,
-- {sqlite}     client_ip        TEXT,
-- {sqlite}     peer_scope       TEXT NOT NULL DEFAULT 'any',
-- {sqlite}     metadata         TEXT
-- {sqlite} );
-- {sqlite} INSERT INTO credentials SELECT username, secret, user_hash, project_id, token_id, room, initiator_client,
-- {sqlite}     receiver_client, client_type, region, issued_at, expires_at, revoked_at, bytes_max, allocations_max,
-- {sqlite}     bandwidth, client_ip, peer_scope, metadata FROM credentials_before ORDER BY issued_at;
-- {sqlite} DROP TABLE credentials_before;
-- {sqlite} CREATE INDEX credentials_by_user_hash ON credentials (user_hash);
-- {sqlite} CREATE INDEX credentials_by_expiry ON credentials (expires_at);
-- {postgres} DROP INDEX credentials_by_project;
-- {postgres} DROP INDEX credentials_by_room;
-- {postgres} DROP INDEX credentials_by_initiator;
-- {postgres} DROP INDEX credentials_by_receiver;

-- Every filter of the list in the list's order. Those that many credentials share also tell
-- state without looking at the row.
CREATE INDEX credentials_by_project ON credentials (project_id, issued_at, username, expires_at, revoked_at);
CREATE INDEX credentials_by_room ON credentials (project_id, room, issued_at, username) WHERE room IS NOT NULL;
CREATE INDEX credentials_by_initiator ON credentials (project_id, initiator_client, issued_at, username)
    WHERE initiator_client IS NOT NULL;
CREATE INDEX credentials_by_receiver ON credentials (project_id, receiver_client, issued_at, username)
    WHERE receiver_client IS NOT NULL;
CREATE INDEX credentials_by_token ON credentials (project_id, token_id, issued_at, username, expires_at, revoked_at);
CREATE INDEX credentials_revoked ON credentials (project_id, issued_at, username, revoked_at)
    WHERE revoked_at IS NOT NULL;

-- The key has the order that is asked for.
DROP INDEX room_clients_by_client;

CREATE INDEX sessions_live_by_start ON sessions (project_id, started_at, id) WHERE ended_at IS NULL;

-- Live sessions of a room and of a client, counted where sessions are written.
ALTER TABLE rooms ADD COLUMN active_sessions BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN active_sessions BIGINT NOT NULL DEFAULT 0;
UPDATE rooms SET active_sessions = (SELECT COUNT(*) FROM sessions s WHERE s.project_id = rooms.project_id
    AND s.room = rooms.name AND s.ended_at IS NULL);
UPDATE clients SET active_sessions = (SELECT COUNT(*) FROM session_clients c JOIN sessions s ON s.id = c.session_id
    WHERE c.project_id = clients.project_id AND c.client = clients.name AND s.ended_at IS NULL);
CREATE INDEX rooms_active ON rooms (project_id, name) WHERE active_sessions > 0;
CREATE INDEX clients_active ON clients (project_id, name) WHERE active_sessions > 0;

-- Names in the order of their bytes, as SQLite has them: a prefix is a range.
-- {postgres} ALTER TABLE rooms ALTER COLUMN name TYPE TEXT COLLATE "C";
-- {postgres} ALTER TABLE clients ALTER COLUMN name TYPE TEXT COLLATE "C";
-- {postgres} ALTER TABLE room_clients ALTER COLUMN client TYPE TEXT COLLATE "C";

-- Numbers that every server of the database draws from: one row each, locked by whoever draws until it commits.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value)
SELECT 'event_place', MAX(used.value)
FROM (
    SELECT COALESCE(MAX(place), 0) AS value FROM events
    UNION ALL
    SELECT COALESCE(MAX(delivered_to), 0) AS value FROM webhooks
) AS used;
INSERT INTO counters (name, value) VALUES ('event_id_block', 0);

-- The place is drawn when an event is kept: it orders the events of all servers. The id is what consumers know it by.
ALTER TABLE events ADD COLUMN id BIGINT NOT NULL DEFAULT 0;
UPDATE events SET id = place;
CREATE UNIQUE INDEX events_by_id ON events (id);

-- A replay begins another run: attempts of those before count no more.
ALTER TABLE webhooks ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
ALTER TABLE webhook_attempts RENAME COLUMN place TO event_id;
ALTER TABLE webhook_attempts ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
CREATE INDEX webhook_attempts_by_event ON webhook_attempts (webhook_id, event_id);
CREATE INDEX webhook_attempts_by_time ON webhook_attempts (at);

-- Which server does what only one may.
CREATE TABLE leases (
    name     TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    renewals BIGINT NOT NULL
);
INSERT INTO leases (name, holder, renewals) VALUES ('webhooks', '', 0);

-- The last expired credential that was told. Its row is made at the first asking.
CREATE TABLE expired_told (
    name       TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL,
    username   TEXT NOT NULL
);

-- What each server tells of itself every few seconds. URLs are divided by spaces.
CREATE TABLE nodes (
    name                   TEXT PRIMARY KEY,
    region                 TEXT NOT NULL,
    seen_at                BIGINT NOT NULL,
    started_at             BIGINT NOT NULL,
    version                TEXT NOT NULL,
    urls                   TEXT NOT NULL,
    state                  TEXT NOT NULL,
    live_sessions          BIGINT NOT NULL,
    certificate_expires_at BIGINT
);

-- Regions and nodes that operators took out of service; an empty node is all of the region.
CREATE TABLE drains (
    region TEXT NOT NULL,
    node   TEXT NOT NULL,
    since  BIGINT NOT NULL,
    PRIMARY KEY (region, node)
);

-- Slugs divided by commas; empty: every region. A month is one of the calendar, in UTC.
ALTER TABLE projects ADD COLUMN regions TEXT NOT NULL DEFAULT '';
ALTER TABLE projects ADD COLUMN credentials_per_month_max BIGINT;
ALTER TABLE projects ADD COLUMN bytes_per_month_max BIGINT;
ALTER TABLE api_tokens ADD COLUMN regions TEXT NOT NULL DEFAULT '';

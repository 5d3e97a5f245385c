-- What one server tells the others of the same database: each reads on from the last number it saw. Kept for an hour.
CREATE TABLE notices (
    number   {ordered_identity},
    at       BIGINT NOT NULL,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    until_at BIGINT NOT NULL
);
CREATE INDEX notices_by_time ON notices (at);

-- Deliveries are claimed and held by one server at a time: each writes to this row first, and others wait for it. So no call is
-- claimed in part.
INSERT INTO counters (name, value) VALUES ('voice_claim', 0);
CREATE INDEX voice_deliveries_by_call ON voice_deliveries (call_id);

-- The service that a call was placed to.
ALTER TABLE calls ADD COLUMN service TEXT;

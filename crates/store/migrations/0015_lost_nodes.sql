-- The last word of a node at which another one closed what it had left open.
ALTER TABLE nodes ADD COLUMN closed_at_word BIGINT;

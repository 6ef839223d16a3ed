-- What a job took: the engine's seconds for it, and the most memory as JSON.
ALTER TABLE jobs ADD COLUMN seconds REAL;
ALTER TABLE jobs ADD COLUMN memory TEXT;

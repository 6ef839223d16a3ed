-- Ended jobs are shown latest first, a page of them at a time, and a browser asks for its own ones every second.
CREATE INDEX jobs_by_end ON jobs (finished) WHERE finished IS NOT NULL;
CREATE INDEX jobs_by_client ON jobs (client, finished) WHERE client IS NOT NULL;
-- The running one, and the waiting ones in order.
CREATE INDEX jobs_active ON jobs (state, position) WHERE finished IS NULL;

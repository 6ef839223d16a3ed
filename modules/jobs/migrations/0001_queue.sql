-- A job is a row before it is an answer to anyone.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'finished', 'interrupted', 'cancelled', 'failed')),
    -- Order among the waiting jobs; smaller runs first. Jobs that are put back get a number below all others.
    position INTEGER NOT NULL,
    request TEXT NOT NULL,
    resolved TEXT NOT NULL,
    client TEXT,
    task_id TEXT,
    save INTEGER NOT NULL,
    -- Engines that died while they ran this job, and servers that did: counted apart, since only the first is its fault.
    attempts INTEGER NOT NULL DEFAULT 0,
    restarts INTEGER NOT NULL DEFAULT 0,
    -- Interrupt was pressed while it ran: after a crash it is not started again.
    stop_requested INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    cause TEXT,
    notices TEXT NOT NULL DEFAULT '[]'
);

-- One engine, one job at a time: the database itself refuses a second running row.
CREATE UNIQUE INDEX one_running ON jobs (state) WHERE state = 'running';
CREATE INDEX waiting_in_order ON jobs (position) WHERE state = 'waiting';
CREATE INDEX jobs_by_task ON jobs (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX jobs_by_age ON jobs (created);

-- `reserved` is written before the file, `saved` after it: what lies between is settled at the next start.
CREATE TABLE images (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'saved')),
    path TEXT NOT NULL UNIQUE,
    kept INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    infotext TEXT NOT NULL,
    -- Text, because a seed may be as large as 2^64 and SQLite's integers are signed.
    seed TEXT NOT NULL,
    subseed TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    PRIMARY KEY (job_id, number, kind)
);

CREATE INDEX images_reserved ON images (state) WHERE state = 'reserved';

CREATE TABLE job_inputs (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (job_id, digest)
);
CREATE INDEX inputs_by_digest ON job_inputs (digest);

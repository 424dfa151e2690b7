-- Runs: what users asked to be run, the queue of it, and what came of it. Same tables, columns and nullability as
-- migrations/postgres/0007_runs.sql.

-- A run. The columns up to updated_at are what lists show and filter by; the rest is for whoever does it.
CREATE TABLE runs (
    id              TEXT NOT NULL PRIMARY KEY,
    owner_id        INTEGER NOT NULL,
    owner           TEXT NOT NULL,
    batch_id        TEXT,
    batch_row       INTEGER,
    rerun_of        TEXT,
    label           TEXT NOT NULL,
    tags            TEXT NOT NULL,
    job_name        TEXT NOT NULL,
    job_version     TEXT NOT NULL,
    package_version TEXT NOT NULL,
    image           TEXT NOT NULL,
    status          TEXT NOT NULL,
    phase           TEXT NOT NULL,
    progress        INTEGER NOT NULL,
    message         TEXT NOT NULL,
    error_name      TEXT,
    error_category  TEXT,
    priority        INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    max_tries       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    finished_at     INTEGER,
    updated_at      INTEGER NOT NULL,
    -- When its logs and outputs were thrown away.
    purged_at       INTEGER,
    -- Not to be begun before.
    due_at          INTEGER NOT NULL,
    -- The silo that has it, or had it last: its containers and files are there.
    host            TEXT,
    lease_token     TEXT,
    lease_until     INTEGER,
    -- Who wants it stopped.
    cancelled_by    TEXT,
    -- Alike for runs of which one is enough.
    dedup_key       TEXT,
    -- What was asked for, without secrets; the secrets, sealed; the record that everybody reads.
    spec            TEXT NOT NULL,
    sealed          TEXT,
    record          TEXT NOT NULL
) STRICT;
CREATE INDEX runs_leased ON runs (owner_id) WHERE lease_token IS NOT NULL;
-- What waits or goes on is found by its end, which is NULL.
CREATE INDEX runs_finished ON runs (finished_at);
-- Lists and counts, of one owner and of all.
CREATE INDEX runs_owner ON runs (owner_id, id);
CREATE INDEX runs_owner_status ON runs (owner_id, status, id);
CREATE INDEX runs_status ON runs (status, id);
CREATE INDEX runs_job ON runs (job_name, id);
CREATE INDEX runs_image ON runs (image, id);
CREATE INDEX runs_error ON runs (error_name, id) WHERE error_name IS NOT NULL;
CREATE INDEX runs_created ON runs (created_at);
CREATE INDEX runs_batch ON runs (batch_id, batch_row);
CREATE INDEX runs_dedup ON runs (dedup_key, owner_id, id);

CREATE TABLE run_tags (
    tag    TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    PRIMARY KEY (tag, run_id)
) STRICT;
CREATE INDEX run_tags_run ON run_tags (run_id);

-- One row: whoever hands out runs holds it, so that limits hold when two ask at once.
CREATE TABLE run_queue (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1)
) STRICT;
INSERT INTO run_queue (id) VALUES (1);

-- Files that users sent to be inputs, by their content. The bytes are in the folder of uploads.
CREATE TABLE uploads (
    sha256     TEXT NOT NULL,
    owner_id   INTEGER NOT NULL,
    name       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- By a run, or by being sent again.
    used_at    INTEGER NOT NULL,
    PRIMARY KEY (sha256, owner_id)
) STRICT;
CREATE INDEX uploads_used ON uploads (used_at);

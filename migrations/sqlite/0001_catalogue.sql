-- The catalogue. Times are milliseconds since 1970 (UTC); lists are JSON texts; booleans are 0 and 1.
-- Same tables, columns and nullability as migrations/postgres/0001_catalogue.sql.

CREATE TABLE users (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    username      TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role          TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    jti        TEXT NOT NULL PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE registries (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE,
    url             TEXT NOT NULL,
    host            TEXT NOT NULL,
    org             TEXT NOT NULL,
    kind            TEXT NOT NULL,
    username        TEXT NOT NULL,
    sealed_password TEXT,
    include         TEXT NOT NULL,
    exclude         TEXT NOT NULL,
    schedule        TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    next_scan_at    INTEGER
) STRICT;

-- What a digest holds. Columns from job_name on are a Seed manifest's; empty unless outcome is 'seed'.
CREATE TABLE contents (
    digest            TEXT NOT NULL PRIMARY KEY,
    outcome           TEXT NOT NULL,
    platforms         TEXT NOT NULL,
    problems          TEXT NOT NULL,
    job_name          TEXT NOT NULL,
    job_version       TEXT NOT NULL,
    package_version   TEXT NOT NULL,
    title             TEXT NOT NULL,
    description       TEXT NOT NULL,
    maintainer        TEXT NOT NULL,
    email             TEXT NOT NULL,
    maint_org         TEXT NOT NULL,
    manifest          TEXT NOT NULL,
    valid             INTEGER NOT NULL,
    manifest_problems TEXT NOT NULL
) STRICT;
CREATE INDEX contents_job_name ON contents (job_name);

CREATE TABLE jobs (
    id                     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name                   TEXT NOT NULL UNIQUE,
    latest_job_version     TEXT NOT NULL,
    latest_package_version TEXT NOT NULL,
    title                  TEXT NOT NULL,
    maintainer             TEXT NOT NULL,
    email                  TEXT NOT NULL,
    maint_org              TEXT NOT NULL,
    description            TEXT NOT NULL
) STRICT;

CREATE TABLE job_versions (
    id                     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job_id                 INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    job_version            TEXT NOT NULL,
    latest_package_version TEXT NOT NULL,
    UNIQUE (job_id, job_version)
) STRICT;

-- Any tag that a scan saw. Catalogued (with a job version) when its content is a Seed image.
CREATE TABLE images (
    id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    registry_id    INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    repository     TEXT NOT NULL,
    tag            TEXT NOT NULL,
    digest         TEXT NOT NULL REFERENCES contents (digest),
    job_version_id INTEGER REFERENCES job_versions (id),
    first_seen_at  INTEGER NOT NULL,
    changed_at     INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    UNIQUE (registry_id, repository, tag)
) STRICT;
CREATE INDEX images_digest ON images (digest);
CREATE INDEX images_job_version ON images (job_version_id);
CREATE INDEX images_revision ON images (revision);

CREATE TABLE scans (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    registry_id INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    state       TEXT NOT NULL,
    cause       TEXT NOT NULL,
    counts      TEXT NOT NULL,
    error       TEXT,
    attempts    INTEGER NOT NULL,
    lease_token TEXT,
    lease_until INTEGER,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER
) STRICT;
CREATE INDEX scans_registry ON scans (registry_id, id);
-- At most one active scan a registry, whoever asks.
CREATE UNIQUE INDEX scans_active ON scans (registry_id) WHERE state IN ('queued', 'running');

CREATE TABLE scan_problems (
    scan_id    INTEGER NOT NULL REFERENCES scans (id) ON DELETE CASCADE,
    seq        INTEGER NOT NULL,
    code       TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    message    TEXT NOT NULL,
    PRIMARY KEY (scan_id, seq)
) STRICT;

-- One row. Whoever changes images or jobs locks it first, so that jobs are always derived from all images.
CREATE TABLE catalogue (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO catalogue (id, revision) VALUES (1, 0);

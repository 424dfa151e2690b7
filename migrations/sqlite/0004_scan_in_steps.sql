-- What scans need to go in steps, to be taken up where they stopped, and to ask for less. Same tables, columns and
-- nullability as migrations/postgres/0004_scan_in_steps.sql.

-- What scans know of each repository that they look into.
CREATE TABLE repositories (
    registry_id   INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    -- The last whole listing of its tags: by which scan (0: none yet), when, how many, and the ids of the images that it
    -- no longer had, which stay until a scan of the whole registry is complete.
    listed_by     INTEGER NOT NULL,
    listed_at     INTEGER,
    tags          INTEGER NOT NULL,
    missing       TEXT NOT NULL,
    -- What the registry's listing said of its state then (empty: nothing), and since when it has said so.
    change_signal TEXT NOT NULL,
    signal_since  INTEGER,
    -- Listings that failed in a row.
    failures      INTEGER NOT NULL,
    failing_since INTEGER,
    failure       TEXT NOT NULL,
    PRIMARY KEY (registry_id, name)
) STRICT;

-- Repositories in which something has changed, by a registry's own word.
CREATE TABLE hints (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    registry_id INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    repository  TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX hints_registry ON hints (registry_id, id);

-- Image configs that were read, so that none is read twice. The Seed label is that of the content (its manifest) where
-- `is_manifest`, else what stands in `label`, or missing.
CREATE TABLE configs (
    digest      TEXT NOT NULL PRIMARY KEY,
    content     TEXT NOT NULL REFERENCES contents (digest) ON DELETE CASCADE,
    platform    TEXT NOT NULL,
    created     TEXT NOT NULL,
    is_manifest INTEGER NOT NULL,
    label       TEXT
) STRICT;
CREATE INDEX configs_content ON configs (content);

-- Bytes to pull (compressed), and when the image was built; NULL where nobody says. `told_by`: the registry whose word
-- this is, NULL where it was checked against the digest; nobody else takes its word.
ALTER TABLE contents ADD COLUMN size INTEGER;
ALTER TABLE contents ADD COLUMN built_at INTEGER;
ALTER TABLE contents ADD COLUMN told_by INTEGER;

-- The last revision in which images went.
ALTER TABLE catalogue ADD COLUMN removed_at INTEGER NOT NULL DEFAULT 0;

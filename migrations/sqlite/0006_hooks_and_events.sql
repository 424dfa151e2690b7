-- Notifications that come in (hooks) and those that go out (events). Same tables, columns and nullability as
-- migrations/postgres/0006_hooks_and_events.sql.

-- The SHA-256 of the token in the address that a registry's notifications go to, and what they are signed with; NULL
-- where there is none.
ALTER TABLE registries ADD COLUMN hook_digest TEXT;
ALTER TABLE registries ADD COLUMN sealed_hook_secret TEXT;
CREATE UNIQUE INDEX registries_hook ON registries (hook_digest);

-- What became of Seed images. Written by whoever holds the catalogue's row, so that ids are in the order in which they
-- become visible. Names are as they were: the registry and the image may be gone.
CREATE TABLE events (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind            TEXT NOT NULL,
    at              INTEGER NOT NULL,
    registry_id     INTEGER NOT NULL,
    registry        TEXT NOT NULL,
    repository      TEXT NOT NULL,
    tag             TEXT NOT NULL,
    digest          TEXT NOT NULL,
    image_id        INTEGER NOT NULL,
    job_name        TEXT NOT NULL,
    job_version     TEXT NOT NULL,
    package_version TEXT NOT NULL,
    title           TEXT NOT NULL
) STRICT;

-- The last event that was thrown away.
ALTER TABLE catalogue ADD COLUMN events_pruned INTEGER NOT NULL DEFAULT 0;

-- Room that is reserved for files that are on their way. Same tables, columns and nullability for both engines.

-- A file that a user is sending, to this host. After the lease the room is free again: whoever took the file is gone.
CREATE TABLE upload_reservations (
    id          TEXT NOT NULL PRIMARY KEY,
    owner_id    INTEGER NOT NULL,
    host        TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_reservations_owner ON upload_reservations (owner_id);

-- Bytes that are reserved for inputs of the attempt that goes on.
ALTER TABLE runs ADD COLUMN fetched_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_fetched ON runs (owner_id) WHERE fetched_bytes > 0;

-- What a user's jobs have said of the files that they were given, by the content of the file: later runs are told of it.
CREATE TABLE file_metadata (
    sha256     TEXT NOT NULL,
    owner_id   BIGINT NOT NULL,
    -- As JSON.
    metadata   TEXT NOT NULL,
    -- By a run that said it, or was told of it.
    used_at    BIGINT NOT NULL,
    PRIMARY KEY (sha256, owner_id)
);
CREATE INDEX file_metadata_used ON file_metadata (used_at);

-- Where a tag pointed before it moved, and from when to when. Same as migrations/postgres/0003_image_history.sql.

CREATE TABLE image_history (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    image_id INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    digest   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL
) STRICT;
CREATE INDEX image_history_image ON image_history (image_id, id);

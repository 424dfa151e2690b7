-- What scans report of every tag, repositories that are named by hand, and ids that are kept for what comes back. Same
-- tables, columns and nullability as migrations/sqlite/0012_scan_reports.sql.

-- What something is that is no image: a word of TagOutcome. What was taken for none by older rules is read anew, and so
-- is what may have been passed over since.
ALTER TABLE contents ADD COLUMN artifact TEXT COLLATE "C" NOT NULL DEFAULT '';
DELETE FROM images WHERE digest IN (SELECT digest FROM contents WHERE outcome = 'not-an-image');
DELETE FROM contents WHERE outcome = 'not-an-image';
UPDATE repositories SET change_signal = '';

-- What became of the tags of a repository when it was last listed to the end, as counts by TagOutcome.
ALTER TABLE repositories ADD COLUMN outcomes TEXT COLLATE "C" NOT NULL DEFAULT '{}';

-- The only repositories to look into, where an admin names them; no listing is asked for then.
ALTER TABLE registries ADD COLUMN repositories TEXT COLLATE "C" NOT NULL DEFAULT '[]';

-- Ids of images, jobs and job versions that went, for when they come back. name: of an image its reference, of a job its
-- name, of a version its job's id and the version. registry_id: of an image.
CREATE TABLE tombstones (
    kind        TEXT COLLATE "C" NOT NULL,
    id          BIGINT NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    registry_id BIGINT NOT NULL,
    since       BIGINT NOT NULL,
    removed_at  BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX tombstones_name ON tombstones (kind, name);
CREATE INDEX tombstones_removed_at ON tombstones (removed_at);

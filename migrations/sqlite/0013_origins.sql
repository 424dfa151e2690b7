-- Where the images of each job come from, and what an admin trusts. Same tables, columns and nullability as
-- migrations/postgres/0013_origins.sql. The rows are made by the program (`Store::origin_complete`).

-- What an admin has marked as verified: all of a registry, or namespaces of it.
ALTER TABLE registries ADD COLUMN is_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registries ADD COLUMN verified_namespaces TEXT NOT NULL DEFAULT '[]';

-- The images of a job in one namespace of one registry. namespace: the path of their repositories before the last slash.
-- image_id: the latest one, with its versions (no key: it is set after images have gone). maintainer_key: equal where that
-- one's maintainer is. group_id: the lowest id of the job's origins with the same key. leads: its latest image is its
-- group's. represents: its images are among those whose latest the job shows.
CREATE TABLE job_origins (
    id                     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    job_id                 INTEGER NOT NULL REFERENCES jobs (id),
    registry_id            INTEGER NOT NULL REFERENCES registries (id),
    namespace              TEXT NOT NULL,
    is_verified            INTEGER NOT NULL,
    latest_job_version     TEXT NOT NULL DEFAULT '',
    latest_package_version TEXT NOT NULL DEFAULT '',
    image_id               INTEGER NOT NULL DEFAULT 0,
    maintainer_key         TEXT NOT NULL DEFAULT '',
    group_id               INTEGER NOT NULL DEFAULT 0,
    leads                  INTEGER NOT NULL DEFAULT 0,
    represents             INTEGER NOT NULL DEFAULT 0,
    UNIQUE (job_id, registry_id, namespace)
) STRICT;
CREATE INDEX job_origins_registry ON job_origins (registry_id);
CREATE INDEX job_origins_group ON job_origins (job_id, group_id, leads);

ALTER TABLE images ADD COLUMN origin_id INTEGER REFERENCES job_origins (id);
CREATE INDEX images_origin ON images (origin_id, job_version_id, package_version, id);

-- The image whose texts the job shows.
ALTER TABLE jobs ADD COLUMN image_id INTEGER NOT NULL DEFAULT 0;
-- It depends on what represents the job, and is read from the images.
ALTER TABLE job_versions DROP COLUMN latest_package_version;

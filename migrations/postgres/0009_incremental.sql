-- What steps of scans need to cost what they change, however many images a job has. Same tables, columns and nullability
-- as migrations/sqlite/0009_incremental.sql.

-- The package version of an image that has a job version; what is latest is found by the index.
ALTER TABLE images ADD COLUMN package_version TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE images SET package_version = (SELECT c.package_version FROM contents c WHERE c.digest = images.digest)
WHERE job_version_id IS NOT NULL;
DROP INDEX images_job_version;
CREATE INDEX images_job_version ON images (job_version_id, package_version, id);

-- How many of a scan's attempts an error of the database ended.
ALTER TABLE scans ADD COLUMN store_failures BIGINT NOT NULL DEFAULT 0;

-- By which rules a manifest was judged (seed::validate::REVISION), so that a newer SILO judges it again.
-- Same as migrations/sqlite/0002_judged_by.sql.

ALTER TABLE contents ADD COLUMN judged_by BIGINT NOT NULL DEFAULT 0;
CREATE INDEX contents_judged_by ON contents (judged_by);

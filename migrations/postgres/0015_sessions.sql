-- What a user sees of the own sessions. Same tables, columns and nullability as migrations/sqlite/0015_sessions.sql.

-- What the client called the session; empty if it said nothing.
ALTER TABLE sessions ADD COLUMN name TEXT COLLATE "C" NOT NULL DEFAULT '';
-- token: sent in a header; page: kept in the cookie of a browser.
ALTER TABLE sessions ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'token';
ALTER TABLE sessions ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
-- To the minute.
ALTER TABLE sessions ADD COLUMN last_used_at BIGINT NOT NULL DEFAULT 0;
-- Address and User-Agent of the login.
ALTER TABLE sessions ADD COLUMN address TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN agent TEXT COLLATE "C" NOT NULL DEFAULT '';
-- When older sessions began is not known: they get the default lifetime of a token.
UPDATE sessions SET created_at = expires_at - 86400000, last_used_at = expires_at - 86400000;

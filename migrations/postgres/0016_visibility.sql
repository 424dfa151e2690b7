-- Who sees which registry. Same tables, columns and nullability as migrations/sqlite/0016_visibility.sql.

-- public, internal or private.
ALTER TABLE registries ADD COLUMN visibility TEXT COLLATE "C" NOT NULL DEFAULT 'public';

CREATE TABLE user_groups (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY
);

CREATE TABLE group_users (
    group_name TEXT COLLATE "C" NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_name, user_id)
);
CREATE INDEX group_users_user ON group_users (user_id);

-- Who sees a private registry, and who maintains a registry.
CREATE TABLE registry_users (
    registry_id BIGINT NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    user_id     BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    maintains   BOOLEAN NOT NULL,
    PRIMARY KEY (registry_id, user_id)
);
CREATE INDEX registry_users_user ON registry_users (user_id);

CREATE TABLE registry_groups (
    registry_id BIGINT NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    group_name  TEXT COLLATE "C" NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
    PRIMARY KEY (registry_id, group_name)
);
CREATE INDEX registry_groups_group ON registry_groups (group_name);

-- Deleted registries that not everybody saw: their events are still stored.
CREATE TABLE closed_registries (
    id BIGINT NOT NULL PRIMARY KEY
);

-- Who sees which registry. Same tables, columns and nullability as migrations/postgres/0016_visibility.sql.

-- public, internal or private.
ALTER TABLE registries ADD COLUMN visibility TEXT NOT NULL DEFAULT 'public';

CREATE TABLE user_groups (
    name TEXT NOT NULL PRIMARY KEY
) STRICT;

CREATE TABLE group_users (
    group_name TEXT NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_name, user_id)
) STRICT;
CREATE INDEX group_users_user ON group_users (user_id);

-- Who sees a private registry, and who maintains a registry.
CREATE TABLE registry_users (
    registry_id INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    maintains   INTEGER NOT NULL,
    PRIMARY KEY (registry_id, user_id)
) STRICT;
CREATE INDEX registry_users_user ON registry_users (user_id);

CREATE TABLE registry_groups (
    registry_id INTEGER NOT NULL REFERENCES registries (id) ON DELETE CASCADE,
    group_name  TEXT NOT NULL REFERENCES user_groups (name) ON DELETE CASCADE,
    PRIMARY KEY (registry_id, group_name)
) STRICT;
CREATE INDEX registry_groups_group ON registry_groups (group_name);

-- Deleted registries that not everybody saw: their events are still stored.
CREATE TABLE closed_registries (
    id INTEGER NOT NULL PRIMARY KEY
) STRICT;

-- Networks that users have logged in from: there strangers' failed logins do not keep them out.
CREATE TABLE login_networks (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, network)
) STRICT;

-- What tells whether a key is still the one that was used before. The key cannot be found out from it.
CREATE TABLE key_checks (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Networks that users have logged in from: there strangers' failed logins do not keep them out.
CREATE TABLE login_networks (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT COLLATE "C" NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, network)
);

-- What tells whether a key is still the one that was used before. The key cannot be found out from it.
CREATE TABLE key_checks (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

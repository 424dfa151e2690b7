//! Sessions: one row for each token that was handed out and not given back.

use chrono::{DateTime, Utc};

use super::db::sql;
use super::{Result, Store};
use crate::catalog::{User, UserId};

impl Store {
    /// Remembers a token by its `jti`.
    pub async fn session_insert(&self, jti: &str, user: UserId, expires_at: DateTime<Utc>) -> Result<()> {
        sql("INSERT INTO sessions (jti, user_id, expires_at) VALUES ($1, $2, $3)")
            .bind(jti)
            .bind(user)
            .bind(expires_at)
            .execute(&self.db)
            .await
            .map(drop)
    }

    /// The user behind a session that has not expired; the role comes from the users table.
    pub async fn session_user(&self, jti: &str, now: DateTime<Utc>) -> Result<Option<User>> {
        sql("SELECT u.id, u.username, u.role, u.created_at FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.jti = $1 AND s.expires_at > $2")
        .bind(jti)
        .bind(now)
        .optional(&self.db)
        .await
    }

    /// False: no such session.
    pub async fn session_delete(&self, jti: &str) -> Result<bool> {
        Ok(sql("DELETE FROM sessions WHERE jti = $1").bind(jti).execute(&self.db).await? > 0)
    }

    /// Deletes expired rows; how many.
    pub async fn session_prune(&self, now: DateTime<Utc>) -> Result<u64> {
        sql("DELETE FROM sessions WHERE expires_at <= $1").bind(now).execute(&self.db).await
    }
}

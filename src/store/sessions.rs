//! Sessions: one row for each token that was issued and not revoked; and the networks from which users log in.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::db::{WriteTransaction, sql};
use super::{Result, Store};
use crate::catalog::{UserAccount, UserId};

/// The most networks remembered of each user.
const MOST_NETWORKS: i64 = 50;

/// The account of a login attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginAccount {
    pub user: UserAccount,
    pub password_hash: String,
    /// Whether the user has logged in from this network before.
    pub network_is_known: bool,
}
row!(LoginAccount { password_hash, network_is_known } + { user });

impl Store {
    /// The account with this name, for a login from `network`.
    pub async fn login_account(&self, username: &str, network: &str) -> Result<Option<LoginAccount>> {
        sql("SELECT u.id, u.username, u.role, u.created_at, u.password_hash,
                 EXISTS (SELECT 1 FROM login_networks n WHERE n.user_id = u.id AND n.network = $2) AS network_is_known
             FROM users u WHERE u.username = $1")
        .bind(username)
        .bind(network)
        .optional(&self.db)
        .await
    }

    /// Remembers that a user has logged in from a network.
    pub async fn login_network_keep(&self, user: UserId, network: &str, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = keep_network(&mut tx, user, network, now).await;
        tx.end(outcome).await
    }

    /// Forgets networks without a login since `before`; returns their number.
    pub async fn login_network_prune(&self, before: DateTime<Utc>) -> Result<u64> {
        sql("DELETE FROM login_networks WHERE last_at < $1").bind(before).execute(&self.db).await
    }

    /// Inserts a session for the token with this `jti`.
    pub async fn session_insert(&self, jti: &str, user: UserId, expires_at: DateTime<Utc>) -> Result<()> {
        sql("INSERT INTO sessions (jti, user_id, expires_at) VALUES ($1, $2, $3)")
            .bind(jti)
            .bind(user)
            .bind(expires_at)
            .execute(&self.db)
            .await
            .map(drop)
    }

    /// The user of a session that has not expired; the role comes from the users table.
    pub async fn session_user(&self, jti: &str, now: DateTime<Utc>) -> Result<Option<UserAccount>> {
        sql("SELECT u.id, u.username, u.role, u.created_at FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.jti = $1 AND s.expires_at > $2")
        .bind(jti)
        .bind(now)
        .optional(&self.db)
        .await
    }

    /// Deletes a session. `false`: no such session.
    pub async fn session_delete(&self, jti: &str) -> Result<bool> {
        Ok(sql("DELETE FROM sessions WHERE jti = $1").bind(jti).execute(&self.db).await? > 0)
    }

    /// Deletes expired sessions; returns their number. An expiry after `latest` was made by a clock that was ahead, and
    /// is cut to it.
    pub async fn session_prune(&self, now: DateTime<Utc>, latest: DateTime<Utc>) -> Result<u64> {
        sql("UPDATE sessions SET expires_at = $1 WHERE expires_at > $1").bind(latest).execute(&self.db).await?;
        sql("DELETE FROM sessions WHERE expires_at <= $1").bind(now).execute(&self.db).await
    }
}

async fn keep_network(tx: &mut WriteTransaction, user: UserId, network: &str, now: DateTime<Utc>) -> Result<()> {
    sql("INSERT INTO login_networks (user_id, network, last_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, network) DO UPDATE SET last_at = excluded.last_at")
    .bind(user)
    .bind(network)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sql("DELETE FROM login_networks WHERE user_id = $1 AND network NOT IN (
             SELECT network FROM login_networks WHERE user_id = $1 ORDER BY last_at DESC, network LIMIT $2)")
    .bind(user)
    .bind(MOST_NETWORKS)
    .execute(tx)
    .await
    .map(drop)
}

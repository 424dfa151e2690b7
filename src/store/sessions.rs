//! Sessions: one row for each token that was issued and not revoked; and the networks from which users log in.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::db::{WriteTransaction, sql};
use super::{Result, Store};
use crate::catalog::{SessionKind, SessionRecord, UserAccount, UserId};

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

/// Whose a session is, and what decides how long it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionUser {
    pub user: UserAccount,
    pub kind: SessionKind,
    pub last_used_at: DateTime<Utc>,
}
row!(SessionUser { kind, last_used_at } + { user });

row!(SessionRecord { id = "jti", name, kind, created_at, last_used_at, expires_at, address, agent });

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

    /// Inserts a session for the token with this `jti`, which is the session's id.
    pub async fn session_insert(&self, user: UserId, session: &SessionRecord) -> Result<()> {
        sql("INSERT INTO sessions
                 (jti, user_id, name, kind, created_at, last_used_at, expires_at, address, agent)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(&session.id)
        .bind(user)
        .bind(&session.name)
        .bind(session.kind)
        .bind(session.created_at)
        .bind(session.last_used_at)
        .bind(session.expires_at)
        .bind(&session.address)
        .bind(&session.agent)
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// A session that has not expired, with its user; the role comes from the users table.
    pub async fn session_user(&self, jti: &str, now: DateTime<Utc>) -> Result<Option<SessionUser>> {
        sql("SELECT u.id, u.username, u.role, u.created_at, s.kind, s.last_used_at
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.jti = $1 AND s.expires_at > $2")
        .bind(jti)
        .bind(now)
        .optional(&self.db)
        .await
    }

    /// Notes that a session was used, and when it expires now.
    pub async fn session_touch(&self, jti: &str, now: DateTime<Utc>, expires_at: Option<DateTime<Utc>>) -> Result<()> {
        sql("UPDATE sessions SET last_used_at = $1, expires_at = COALESCE($2, expires_at) WHERE jti = $3")
            .bind(now)
            .bind(expires_at)
            .bind(jti)
            .execute(&self.db)
            .await
            .map(drop)
    }

    /// The sessions of a user that have not expired, the last used ones first.
    pub async fn session_list(&self, user: UserId, now: DateTime<Utc>, limit: u32) -> Result<Vec<SessionRecord>> {
        sql("SELECT jti, name, kind, created_at, last_used_at, expires_at, address, agent FROM sessions
             WHERE user_id = $1 AND expires_at > $2 ORDER BY last_used_at DESC, created_at DESC, jti LIMIT $3")
        .bind(user)
        .bind(now)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// Deletes a session. `false`: no such session.
    pub async fn session_delete(&self, jti: &str) -> Result<bool> {
        Ok(sql("DELETE FROM sessions WHERE jti = $1").bind(jti).execute(&self.db).await? > 0)
    }

    /// Deletes a session of this user. `false`: the user has no such session.
    pub async fn session_delete_own(&self, user: UserId, jti: &str) -> Result<bool> {
        let end = sql("DELETE FROM sessions WHERE jti = $1 AND user_id = $2").bind(jti).bind(user);
        Ok(end.execute(&self.db).await? > 0)
    }

    /// Deletes all sessions of a user; returns their number.
    pub async fn session_delete_all(&self, user: UserId) -> Result<u64> {
        sql("DELETE FROM sessions WHERE user_id = $1").bind(user).execute(&self.db).await
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

//! User accounts.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::db::{RowLock, WriteTransaction, bulk, sql};
use super::{Error, Result, Store};
use crate::catalog::{UserAccount, UserId, UserOverview, UserRole};

row!(UserAccount { id, username, role, created_at });
row!(UserOverview { last_login_at, sessions } + { user });

/// A user with the password hash.
struct UserPasswordRow {
    user: UserAccount,
    password_hash: String,
}
row!(UserPasswordRow { password_hash } + { user });

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// `Duplicate("user")`.
    pub async fn user_insert(
        &self,
        username: &str,
        password_hash: &str,
        role: UserRole,
        now: DateTime<Utc>,
    ) -> Result<UserAccount> {
        sql("INSERT INTO users (username, password_hash, role, created_at) VALUES ($1, $2, $3, $4)
             RETURNING id, username, role, created_at")
        .bind(username)
        .bind(password_hash)
        .bind(role)
        .bind(now)
        .one(&self.db)
        .await
        .map_err(|error| error.or_duplicate("user"))
    }

    /// All users, by id.
    pub async fn user_list(&self) -> Result<Vec<UserAccount>> {
        sql("SELECT id, username, role, created_at FROM users ORDER BY id").all(&self.db).await
    }

    pub async fn user_get(&self, id: UserId) -> Result<Option<UserAccount>> {
        sql("SELECT id, username, role, created_at FROM users WHERE id = $1").bind(id).optional(&self.db).await
    }

    /// The user with this name, with the password hash.
    pub async fn user_by_name(&self, username: &str) -> Result<Option<(UserAccount, String)>> {
        let account: Option<UserPasswordRow> =
            sql("SELECT id, username, role, created_at, password_hash FROM users WHERE username = $1")
                .bind(username)
                .optional(&self.db)
                .await?;
        Ok(account.map(|account| (account.user, account.password_hash)))
    }

    /// What is known of the logins of these users, in no order. A session counts until its end, which is after `now`.
    pub async fn user_overviews(&self, ids: &[UserId], now: DateTime<Utc>) -> Result<Vec<UserOverview>> {
        let now = now.timestamp_millis();
        let select = format!(
            "SELECT u.id, u.username, u.role, u.created_at,
                 (SELECT MAX(n.last_at) FROM login_networks n WHERE n.user_id = u.id) AS last_login_at,
                 (SELECT COUNT(*) FROM sessions s WHERE s.user_id = u.id AND s.expires_at > {now}) AS sessions
             FROM users u WHERE u.id IN ("
        );
        bulk(&select, ids.iter().map(|id| [(*id).into()]), ")").all(&self.db).await
    }

    /// Changes the role and ends all sessions of the user. `false`: no such user.
    ///
    /// # Errors
    /// [`Error::LastAdmin`] if no other admin would be left.
    pub async fn user_set_role(&self, id: UserId, role: UserRole) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let outcome = set_role(&mut tx, id, role, self.db.lock(RowLock::Wait)).await;
        tx.end(outcome).await
    }

    /// Changes the password and ends all sessions of the user except `spared`. `false`: no such user.
    pub async fn user_set_password(&self, id: UserId, password_hash: &str, spared: Option<&str>) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let outcome = set_password(&mut tx, id, password_hash, spared).await;
        tx.end(outcome).await
    }

    /// Deletes a user with the sessions. `false`: no such user.
    ///
    /// # Errors
    /// [`Error::LastAdmin`], also if two admins are deleted at once.
    pub async fn user_delete(&self, id: UserId) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let outcome = delete(&mut tx, id, self.db.lock(RowLock::Wait)).await;
        tx.end(outcome).await
    }
}

async fn set_password(
    tx: &mut WriteTransaction,
    id: UserId,
    password_hash: &str,
    spared: Option<&str>,
) -> Result<bool> {
    let found =
        sql("UPDATE users SET password_hash = $1 WHERE id = $2").bind(password_hash).bind(id).execute(&mut *tx).await?;
    // No session has an empty id.
    let end = sql("DELETE FROM sessions WHERE user_id = $1 AND jti <> $2");
    end.bind(id).bind(spared.unwrap_or_default()).execute(tx).await?;
    Ok(found > 0)
}

async fn set_role(tx: &mut WriteTransaction, id: UserId, role: UserRole, lock: &str) -> Result<bool> {
    if role != UserRole::Admin {
        keep_an_admin_beside(tx, id, lock).await?;
    }
    let found = sql("UPDATE users SET role = $1 WHERE id = $2").bind(role).bind(id).execute(&mut *tx).await?;
    sql("DELETE FROM sessions WHERE user_id = $1").bind(id).execute(tx).await?;
    Ok(found > 0)
}

/// Refuses the last admin. Locks all admins, in a fixed order, so that the second of two changes sees the result of the
/// first.
async fn keep_an_admin_beside(tx: &mut WriteTransaction, id: UserId, lock: &str) -> Result<()> {
    let admins: Vec<(i64,)> =
        sql(format!("SELECT id FROM users WHERE role = 'admin' ORDER BY id {lock}")).all(tx).await?;
    if admins == [(id.0,)] { Err(Error::LastAdmin) } else { Ok(()) }
}

async fn delete(tx: &mut WriteTransaction, id: UserId, lock: &str) -> Result<bool> {
    keep_an_admin_beside(tx, id, lock).await?;
    Ok(sql("DELETE FROM users WHERE id = $1").bind(id).execute(tx).await? > 0)
}

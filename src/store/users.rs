//! User accounts.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::db::{RowLock, WriteTransaction, sql};
use super::{Error, Result, Store};
use crate::catalog::{UserAccount, UserId, UserRole};

row!(UserAccount { id, username, role, created_at });

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

/// Locks all admins, in a fixed order, so that the second of two deletions sees the result of the first.
async fn delete(tx: &mut WriteTransaction, id: UserId, lock: &str) -> Result<bool> {
    let admins: Vec<(i64,)> =
        sql(format!("SELECT id FROM users WHERE role = 'admin' ORDER BY id {lock}")).all(&mut *tx).await?;
    if admins == [(id.0,)] {
        return Err(Error::LastAdmin);
    }
    Ok(sql("DELETE FROM users WHERE id = $1").bind(id).execute(tx).await? > 0)
}

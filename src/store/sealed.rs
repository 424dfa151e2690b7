//! All texts sealed with the seal key, and the check values by which keys are recognized.

use super::db::{SqlTarget, WriteTransaction, sql};
use super::{Error, Result, Store};

/// The place of a sealed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SealedKind {
    RegistryPassword,
    RegistryClientKey,
    HookSecret,
    RunSettings,
}

/// A sealed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedText {
    pub kind: SealedKind,
    /// The name of the registry, or the id of the run.
    pub owner: String,
    pub text: String,
}

impl SealedKind {
    const ALL: [Self; 4] = [Self::RegistryPassword, Self::RegistryClientKey, Self::HookSecret, Self::RunSettings];

    /// Table, column of the owner, column of the text.
    fn place(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::RegistryPassword => ("registries", "name", "sealed_password"),
            Self::RegistryClientKey => ("registries", "name", "sealed_client_key"),
            Self::HookSecret => ("registries", "name", "sealed_hook_secret"),
            Self::RunSettings => ("runs", "id", "sealed"),
        }
    }
}

impl Store {
    /// All sealed texts, by kind and owner.
    pub async fn sealed_list(&self) -> Result<Vec<SealedText>> {
        let mut all = Vec::new();
        for kind in SealedKind::ALL {
            all.extend(list(kind, &self.db).await?);
        }
        Ok(all)
    }

    /// Replaces all sealed texts (`None` removes one), and stores the check value of the key that sealed the new ones,
    /// in one transaction.
    ///
    /// # Errors
    /// [`Error::Changed`] if `changes` does not match the sealed texts in the store exactly.
    pub async fn sealed_replace(&self, changes: &[(SealedText, Option<String>)], check: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = replace(&mut tx, changes, check).await;
        tx.end(outcome).await
    }

    /// The check value of a key; `None` before the key was first used.
    pub async fn key_check(&self, key: &str) -> Result<Option<String>> {
        let row: Option<(String,)> =
            sql("SELECT value FROM key_checks WHERE name = $1").bind(key).optional(&self.db).await?;
        Ok(row.map(|(value,)| value))
    }

    /// Stores the check value of a key.
    pub async fn key_check_set(&self, key: &str, check: &str) -> Result<()> {
        set_check(key, check, &self.db).await
    }
}

/// Name of the check value of the key that seals; set by [`Store::sealed_replace`].
pub const SEAL_KEY: &str = "seal";
/// Name of the check value of the key that signs tokens.
pub const TOKEN_KEY: &str = "token";

async fn list(kind: SealedKind, on: impl Into<SqlTarget<'_>>) -> Result<Vec<SealedText>> {
    let (table, owner, text) = kind.place();
    let select = format!("SELECT {owner}, {text} FROM {table} WHERE {text} IS NOT NULL ORDER BY {owner}");
    let rows: Vec<(String, String)> = sql(select).all(on).await?;
    Ok(rows.into_iter().map(|(owner, text)| SealedText { kind, owner, text }).collect())
}

async fn set_check(key: &str, check: &str, on: impl Into<SqlTarget<'_>>) -> Result<()> {
    sql("INSERT INTO key_checks (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(key)
        .bind(check)
        .execute(on)
        .await
        .map(drop)
}

async fn replace(tx: &mut WriteTransaction, changes: &[(SealedText, Option<String>)], check: &str) -> Result<()> {
    for (old, new) in changes {
        let (table, owner, text) = old.kind.place();
        let update = format!("UPDATE {table} SET {text} = $1 WHERE {owner} = $2 AND {text} = $3");
        let update = sql(update).bind(new.as_deref()).bind(&old.owner).bind(&old.text);
        if update.execute(&mut *tx).await? != 1 {
            return Err(Error::Changed);
        }
    }
    let mut left = 0;
    for kind in SealedKind::ALL {
        left += list(kind, &mut *tx).await?.len();
    }
    if left != changes.iter().filter(|(_, new)| new.is_some()).count() {
        return Err(Error::Changed);
    }
    set_check(SEAL_KEY, check, tx).await
}

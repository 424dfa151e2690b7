//! Repositories of a registry: what scans know of each, and hints that something has changed in one.

use chrono::{DateTime, Utc};

use super::db::{bulk, sql};
use super::value::row;
use super::{Result, Store};
use crate::catalog::{Hint, HintId, RegistryId, Repository};

row!(Hint { id, repository });
row!(Repository { name, listed_at, tags, failures, failing_since, failure });

/// Hints that are read at once.
const MOST_HINTS: u32 = 1000;

impl Store {
    /// Repositories that scans have looked into, by name, only those after `after`.
    pub async fn repository_list(&self, registry: RegistryId, after: &str, limit: u32) -> Result<Vec<Repository>> {
        sql("SELECT name, listed_at, tags, failures, failing_since, failure FROM repositories
             WHERE registry_id = $1 AND name > $2 ORDER BY name LIMIT $3")
        .bind(registry)
        .bind(after)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// Keeps that something has changed in these repositories.
    ///
    /// # Errors
    /// [`super::Error::Database`] also for a registry that is gone.
    pub async fn hint_insert(&self, registry: RegistryId, repositories: &[String], now: DateTime<Utc>) -> Result<()> {
        let rows = repositories.iter().map(|repository| [registry.into(), repository.into(), now.into()]);
        bulk("INSERT INTO hints (registry_id, repository, created_at)", rows, "").execute(&self.db).await.map(drop)
    }

    /// Hints that wait, oldest first. A repository may come more than once.
    pub async fn hint_list(&self, registry: RegistryId) -> Result<Vec<Hint>> {
        sql("SELECT id, repository FROM hints WHERE registry_id = $1 ORDER BY id LIMIT $2")
            .bind(registry)
            .bind(MOST_HINTS)
            .all(&self.db)
            .await
    }

    /// Registries that have hints waiting.
    pub async fn hint_registries(&self) -> Result<Vec<RegistryId>> {
        let rows: Vec<(i64,)> =
            sql("SELECT DISTINCT registry_id FROM hints ORDER BY registry_id").all(&self.db).await?;
        Ok(rows.into_iter().map(|(id,)| RegistryId(id)).collect())
    }

    /// Forgets hints that were followed.
    pub async fn hint_delete(&self, hints: &[HintId]) -> Result<()> {
        bulk("DELETE FROM hints WHERE id IN (", hints.iter().map(|id| [(*id).into()]), ")")
            .execute(&self.db)
            .await
            .map(drop)
    }
}

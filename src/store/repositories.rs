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

    /// Keeps that something has changed in these repositories. Of a repository that has a hint waiting, which nobody
    /// has read yet, that one will do.
    ///
    /// # Errors
    /// [`super::Error::Database`] also for a registry that is gone.
    pub async fn hint_insert(&self, registry: RegistryId, repositories: &[String], now: DateTime<Utc>) -> Result<()> {
        let named = repositories.iter().map(|repository| [repository.into()]);
        let (registry, at) = (registry.0, now.timestamp_millis());
        bulk(
            "WITH named (repository) AS (",
            named,
            &format!(
                ") INSERT INTO hints (registry_id, repository, created_at)
                 SELECT {registry}, named.repository, {at} FROM named
                 WHERE NOT EXISTS (SELECT 1 FROM hints h WHERE h.registry_id = {registry}
                                   AND h.repository = named.repository AND NOT h.taken)"
            ),
        )
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// Hints that wait, oldest first. A repository may come more than once. They stay until [`Store::hint_delete`]; from
    /// now on further notifications leave hints of their own, because whoever reads these looks at the registry next.
    pub async fn hint_list(&self, registry: RegistryId) -> Result<Vec<Hint>> {
        let mut hints: Vec<Hint> = sql("UPDATE hints SET taken = $1
             WHERE id IN (SELECT id FROM hints WHERE registry_id = $2 ORDER BY id LIMIT $3)
             RETURNING id, repository")
        .bind(true)
        .bind(registry)
        .bind(MOST_HINTS)
        .all(&self.db)
        .await?;
        hints.sort_by_key(|hint| hint.id);
        Ok(hints)
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

//! Repositories of a registry: what scans recorded of each, and hints that one has changed.

use chrono::{DateTime, Utc};

use super::columns::{SqlValue, json, row};
use super::db::{WriteTransaction, bulk, sql};
use super::{RepositoryScanResult, Result, ScanResult, Store};
use crate::catalog::{ChangeHint, HintId, RegistryId, RepositoryState, ScannedRepository};

row!(ChangeHint { id, repository });
row!(ScannedRepository { name, listed_at, tags, failures, failing_since, failure });

row!(RepositoryState { name, listed_by, listed_at, tags, outcomes, missing, change_signal, signal_since });

/// The most hints read at once.
const MOST_HINTS: u32 = 1000;

impl Store {
    /// Repositories that scans have read, by name, only those after `after`, and with at least so many failures in a row.
    pub async fn repository_list(
        &self,
        registry: RegistryId,
        failures: u32,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ScannedRepository>> {
        sql("SELECT name, listed_at, tags, failures, failing_since, failure FROM repositories
             WHERE registry_id = $1 AND name > $2 AND failures >= $3 ORDER BY name LIMIT $4")
        .bind(registry)
        .bind(after)
        .bind(failures)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// The states that the next scan compares with, by name.
    pub async fn repository_states(&self, registry: RegistryId) -> Result<Vec<RepositoryState>> {
        sql("SELECT name, listed_by, listed_at, tags, outcomes, missing, change_signal, signal_since
             FROM repositories WHERE registry_id = $1 ORDER BY name")
        .bind(registry)
        .all(&self.db)
        .await
    }

    /// Stores hints that these repositories have changed. Replaces waiting hints for the same repositories: a walk that
    /// has already read these sees by the new id that it has to list the repository again.
    ///
    /// # Errors
    /// [`super::Error::Database`], also if the registry no longer exists.
    pub async fn hint_insert(&self, registry: RegistryId, repositories: &[String], now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = replace_hints(&mut tx, registry, repositories, now).await;
        tx.end(outcome).await
    }

    /// Waiting hints, oldest first.
    pub async fn hint_list(&self, registry: RegistryId) -> Result<Vec<ChangeHint>> {
        sql("SELECT id, repository FROM hints WHERE registry_id = $1 ORDER BY id LIMIT $2")
            .bind(registry)
            .bind(MOST_HINTS)
            .all(&self.db)
            .await
    }

    /// Number of waiting hints.
    pub async fn hint_count(&self, registry: RegistryId) -> Result<u64> {
        let (count,): (i64,) =
            sql("SELECT COUNT(*) FROM hints WHERE registry_id = $1").bind(registry).one(&self.db).await?;
        Ok(count.unsigned_abs())
    }

    /// Registries with hints newer than the start of their last scan, and than the end of one that was cancelled before
    /// it started. Hints left by a scan wait for the next one, else a registry that does not answer would be scanned
    /// endlessly. Times after `now` come from a clock that was ahead: hints are set to `now`, scans are ignored.
    pub async fn hint_registries(&self, now: DateTime<Utc>) -> Result<Vec<RegistryId>> {
        sql("UPDATE hints SET created_at = $1 WHERE created_at > $1").bind(now).execute(&self.db).await?;
        let rows: Vec<(i64,)> = sql("SELECT DISTINCT h.registry_id FROM hints h
             WHERE NOT EXISTS (SELECT 1 FROM scans s WHERE s.registry_id = h.registry_id
                 AND COALESCE(s.started_at, s.finished_at) > h.created_at AND COALESCE(s.started_at, s.finished_at) <= $1)
             ORDER BY h.registry_id")
        .bind(now)
        .all(&self.db)
        .await?;
        Ok(rows.into_iter().map(|(id,)| RegistryId(id)).collect())
    }

    /// Deletes hints that were followed.
    pub async fn hint_delete(&self, hints: &[HintId]) -> Result<()> {
        bulk("DELETE FROM hints WHERE id IN (", hints.iter().map(|id| [(*id).into()]), ")")
            .execute(&self.db)
            .await
            .map(drop)
    }
}

async fn replace_hints(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    repositories: &[String],
    now: DateTime<Utc>,
) -> Result<()> {
    let named = repositories.iter().map(|repository| [repository.into()]);
    bulk(&format!("DELETE FROM hints WHERE registry_id = {registry} AND repository IN ("), named, ")")
        .execute(&mut *tx)
        .await?;
    let rows = repositories.iter().map(|repository| [registry.into(), repository.into(), now.into()]);
    bulk("INSERT INTO hints (registry_id, repository, created_at)", rows, "").execute(tx).await.map(drop)
}

/// Stores the results of scanning repositories.
pub(super) async fn keep(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    looked: &[RepositoryScanResult],
    now: DateTime<Utc>,
) -> Result<()> {
    let listed = looked.iter().filter_map(|looked| match looked {
        RepositoryScanResult::Listed(state) => Some(state),
        RepositoryScanResult::Failed { .. } => None,
    });
    let rows = listed.map(|state| -> [SqlValue<'_>; 11] {
        [
            registry.into(),
            SqlValue::from(&state.name),
            state.listed_by.into(),
            state.listed_at.into(),
            state.tags.into(),
            json(&state.missing).into(),
            SqlValue::from(&state.change_signal),
            state.signal_since.into(),
            0_i64.into(),
            "".into(),
            json(&state.outcomes).into(),
        ]
    });
    bulk(
        "INSERT INTO repositories (registry_id, name, listed_by, listed_at, tags, missing, change_signal, signal_since,
             failures, failure, outcomes)",
        rows,
        "ON CONFLICT (registry_id, name) DO UPDATE SET listed_by = excluded.listed_by, listed_at = excluded.listed_at,
             tags = excluded.tags, outcomes = excluded.outcomes, missing = excluded.missing, change_signal = excluded.change_signal,
             signal_since = excluded.signal_since, failures = 0, failing_since = NULL, failure = ''",
    )
    .execute(&mut *tx)
    .await?;
    let failed = looked.iter().filter_map(|looked| match looked {
        RepositoryScanResult::Failed { name, why } => Some((name, why)),
        RepositoryScanResult::Listed(_) => None,
    });
    let rows = failed.map(|(name, why)| -> [SqlValue<'_>; 9] {
        let none = 0_i64.into();
        [registry.into(), name.into(), none, 0_i64.into(), "[]".into(), "".into(), 1_i64.into(), now.into(), why.into()]
    });
    bulk(
        "INSERT INTO repositories (registry_id, name, listed_by, tags, missing, change_signal, failures, failing_since,
             failure)",
        rows,
        // After a failure the earlier state must not be relied on.
        "ON CONFLICT (registry_id, name) DO UPDATE SET listed_by = 0, change_signal = '',
             failures = repositories.failures + 1, failure = excluded.failure,
             failing_since = COALESCE(repositories.failing_since, excluded.failing_since)",
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Clears the missing images that are removed now, and deletes repositories that are gone.
pub(super) async fn settle(tx: &mut WriteTransaction, registry: RegistryId, result: &ScanResult) -> Result<()> {
    bulk(
        &format!("UPDATE repositories SET missing = '[]' WHERE registry_id = {registry} AND name IN ("),
        result.settled.iter().map(|name| [name.into()]),
        ")",
    )
    .execute(&mut *tx)
    .await?;
    bulk(
        &format!("DELETE FROM repositories WHERE registry_id = {registry} AND name IN ("),
        result.gone.iter().map(|name| [name.into()]),
        ")",
    )
    .execute(tx)
    .await
    .map(drop)
}

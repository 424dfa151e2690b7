//! Registries, as admins add and remove them.

use chrono::{DateTime, Utc};

use super::db::{Lock, Tx, sql};
use super::finish::{catalogue_lock, catalogue_set_removed, catalogue_set_revision, rederive_jobs};
use super::value::{json, row};
use super::{Result, Store};
use crate::catalog::{NewRegistry, Registry, RegistryId};

row!(Registry {
    id,
    name,
    url,
    host,
    org,
    kind,
    username,
    has_password,
    include,
    exclude,
    schedule,
    created_at,
    next_scan_at,
});

/// The columns of a [`Registry`]: whether it has a password, never the password.
const COLUMNS: &str = "id, name, url, host, org, kind, username, sealed_password IS NOT NULL AS has_password,
    include, exclude, schedule, created_at, next_scan_at";

impl Store {
    /// Adds a registry. `sealed_password` is ciphertext text, stored as given.
    ///
    /// # Errors
    /// `Duplicate("registry")`.
    pub async fn registry_insert(
        &self,
        new: &NewRegistry,
        sealed_password: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Registry> {
        sql(format!(
            "INSERT INTO registries
                 (name, url, host, org, kind, username, sealed_password, include, exclude, schedule, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING {COLUMNS}"
        ))
        .bind(&new.name)
        .bind(&new.url)
        .bind(&new.host)
        .bind(&new.org)
        .bind(new.kind)
        .bind(&new.username)
        .bind(sealed_password)
        .bind(json(&new.include))
        .bind(json(&new.exclude))
        .bind(&new.schedule)
        .bind(now)
        .one(&self.db)
        .await
        .map_err(|error| error.or_duplicate("registry"))
    }

    /// By id.
    pub async fn registry_list(&self) -> Result<Vec<Registry>> {
        sql(format!("SELECT {COLUMNS} FROM registries ORDER BY id")).all(&self.db).await
    }

    pub async fn registry_get(&self, id: RegistryId) -> Result<Option<Registry>> {
        sql(format!("SELECT {COLUMNS} FROM registries WHERE id = $1")).bind(id).optional(&self.db).await
    }

    pub async fn registry_by_name(&self, name: &str) -> Result<Option<Registry>> {
        sql(format!("SELECT {COLUMNS} FROM registries WHERE name = $1")).bind(name).optional(&self.db).await
    }

    /// None: no such registry, or it has no password.
    pub async fn registry_sealed_password(&self, id: RegistryId) -> Result<Option<String>> {
        let row: Option<(Option<String>,)> =
            sql("SELECT sealed_password FROM registries WHERE id = $1").bind(id).optional(&self.db).await?;
        Ok(row.and_then(|(sealed,)| sealed))
    }

    /// When the schedule next asks for a scan; `None` for never.
    pub async fn registry_set_next_scan(&self, id: RegistryId, at: Option<DateTime<Utc>>) -> Result<()> {
        sql("UPDATE registries SET next_scan_at = $1 WHERE id = $2").bind(at).bind(id).execute(&self.db).await.map(drop)
    }

    /// Removes it with its images, scans and problems, and the jobs and versions that only it had, in one transaction;
    /// raises the catalogue revision when it had catalogued images. An active scan of it loses its lease. False: no
    /// such registry.
    pub async fn registry_delete(&self, id: RegistryId) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let outcome = delete(&mut tx, id, self.db.lock(Lock::Wait)).await;
        tx.end(outcome).await
    }
}

async fn delete(tx: &mut Tx, id: RegistryId, lock: &str) -> Result<bool> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    let names: Vec<(String,)> = sql("SELECT DISTINCT c.job_name FROM images i JOIN contents c ON c.digest = i.digest
         WHERE i.registry_id = $1 AND i.job_version_id IS NOT NULL")
    .bind(id)
    .all(&mut *tx)
    .await?;
    let found = sql("DELETE FROM registries WHERE id = $1").bind(id).execute(&mut *tx).await? > 0;
    if !names.is_empty() {
        rederive_jobs(tx, &names.into_iter().map(|(name,)| name).collect(), revision).await?;
        catalogue_set_removed(tx, revision).await?;
        catalogue_set_revision(tx, revision).await?;
    }
    Ok(found)
}

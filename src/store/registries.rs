//! Registries: adding, changing and removing them.

use chrono::{DateTime, Utc};

use super::catalogue_row::{catalogue_lock, catalogue_set_removed, catalogue_set_revision};
use super::columns::{json, row};
use super::db::{RowLock, WriteTransaction, sql};
use super::derive::{ArrivedSelection, derive, find_touched_rows};
use super::events;
use super::{Result, Store, tombstones};
use crate::catalog::{NewRegistry, RegistryId, RegistryLoss, RegistryRecord, RegistrySize, SecretChange};

row!(
    RegistryRecord {
        id,
        name,
        url,
        host,
        org,
        kind,
        username,
        has_password,
        has_hook,
        ca,
        client_certificate,
        include,
        exclude,
        repositories,
        schedule,
        created_at,
        next_scan_at,
        visibility,
    } + { verified }
);

/// The columns of a [`RegistryRecord`]: whether it has a password and a hook, never their values.
const COLUMNS: &str = "id, name, url, host, org, kind, username, sealed_password IS NOT NULL AS has_password,
    hook_digest IS NOT NULL AS has_hook, ca, client_certificate, include, exclude, repositories, schedule, created_at,
    next_scan_at, is_verified, verified_namespaces, visibility";

/// Sealed secrets of a registry, stored as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedSecrets {
    pub password: Option<String>,
    pub client_key: Option<String>,
}
row!(SealedSecrets { password, client_key });

/// Changes of a registry's sealed secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedChanges {
    pub password: SecretChange<String>,
    pub client_key: SecretChange<String>,
}

impl Store {
    /// Adds a registry.
    ///
    /// # Errors
    /// `Duplicate("registry")`.
    pub async fn registry_insert(
        &self,
        new: &NewRegistry,
        secrets: &SealedSecrets,
        now: DateTime<Utc>,
    ) -> Result<RegistryRecord> {
        sql(format!(
            "INSERT INTO registries
                 (name, url, host, org, kind, username, sealed_password, ca, client_certificate, sealed_client_key,
                  include, exclude, schedule, created_at, repositories, visibility)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING {COLUMNS}"
        ))
        .bind(&new.name)
        .bind(&new.url)
        .bind(&new.host)
        .bind(&new.org)
        .bind(new.kind)
        .bind(&new.username)
        .bind(secrets.password.as_deref())
        .bind(&new.ca)
        .bind(&new.client_certificate)
        .bind(secrets.client_key.as_deref())
        .bind(json(&new.include))
        .bind(json(&new.exclude))
        .bind(&new.schedule)
        .bind(now)
        .bind(json(&new.repositories))
        .bind(new.visibility)
        .one(&self.db)
        .await
        .map_err(|error| error.or_duplicate("registry"))
    }

    /// Changes all values of a registry except its name, kind and visibility. Returns `None` if the registry is no longer as in
    /// `old`.
    pub async fn registry_update(
        &self,
        old: &RegistryRecord,
        new: &NewRegistry,
        secrets: &SealedChanges,
    ) -> Result<Option<RegistryRecord>> {
        sql(format!(
            "UPDATE registries SET url = $1, host = $2, org = $3, username = $4, ca = $5, client_certificate = $6,
                 include = $7, exclude = $8, schedule = $9,
                 sealed_password = CASE WHEN $10 THEN sealed_password ELSE $23 END,
                 sealed_client_key = CASE WHEN $11 THEN sealed_client_key ELSE $24 END, repositories = $21
             WHERE id = $12 AND url = $13 AND org = $14 AND username = $15 AND ca = $16 AND client_certificate = $17
                 AND include = $18 AND exclude = $19 AND schedule = $20 AND repositories = $22
             RETURNING {COLUMNS}"
        ))
        .bind(&new.url)
        .bind(&new.host)
        .bind(&new.org)
        .bind(&new.username)
        .bind(&new.ca)
        .bind(&new.client_certificate)
        .bind(json(&new.include))
        .bind(json(&new.exclude))
        .bind(&new.schedule)
        .bind(secrets.password.is_kept())
        .bind(secrets.client_key.is_kept())
        .bind(old.id)
        .bind(&old.url)
        .bind(&old.org)
        .bind(&old.username)
        .bind(&old.ca)
        .bind(&old.client_certificate)
        .bind(json(&old.include))
        .bind(json(&old.exclude))
        .bind(&old.schedule)
        .bind(json(&new.repositories))
        .bind(json(&old.repositories))
        .bind(secrets.password.new_value().map(String::as_str))
        .bind(secrets.client_key.new_value().map(String::as_str))
        .optional(&self.db)
        .await
    }

    /// All registries, by id.
    pub async fn registry_list(&self) -> Result<Vec<RegistryRecord>> {
        sql(format!("SELECT {COLUMNS} FROM registries ORDER BY id")).all(&self.db).await
    }

    pub async fn registry_get(&self, id: RegistryId) -> Result<Option<RegistryRecord>> {
        sql(format!("SELECT {COLUMNS} FROM registries WHERE id = $1")).bind(id).optional(&self.db).await
    }

    pub async fn registry_by_name(&self, name: &str) -> Result<Option<RegistryRecord>> {
        sql(format!("SELECT {COLUMNS} FROM registries WHERE name = $1")).bind(name).optional(&self.db).await
    }

    /// The sealed secrets; none for an unknown registry.
    pub async fn registry_secrets(&self, id: RegistryId) -> Result<SealedSecrets> {
        let select =
            "SELECT sealed_password AS password, sealed_client_key AS client_key FROM registries WHERE id = $1";
        let row: Option<SealedSecrets> = sql(select).bind(id).optional(&self.db).await?;
        Ok(row.unwrap_or_default())
    }

    /// Sets the time of the next scheduled scan; `None` for never.
    pub async fn registry_set_next_scan(&self, id: RegistryId, at: Option<DateTime<Utc>>) -> Result<()> {
        sql("UPDATE registries SET next_scan_at = $1 WHERE id = $2").bind(at).bind(id).execute(&self.db).await.map(drop)
    }

    /// Replaces or removes the hook of a registry: the digest of its token, and the sealed secret that signs its
    /// notifications. `false`: no such registry.
    pub async fn registry_set_hook(
        &self,
        id: RegistryId,
        digest: Option<&str>,
        sealed_secret: Option<&str>,
    ) -> Result<bool> {
        sql("UPDATE registries SET hook_digest = $1, sealed_hook_secret = $2 WHERE id = $3")
            .bind(digest)
            .bind(sealed_secret)
            .bind(id)
            .execute(&self.db)
            .await
            .map(|touched| touched > 0)
    }

    /// The registry with this hook.
    pub async fn registry_by_hook(&self, digest: &str) -> Result<Option<RegistryRecord>> {
        sql(format!("SELECT {COLUMNS} FROM registries WHERE hook_digest = $1")).bind(digest).optional(&self.db).await
    }

    /// The sealed secret that signs notifications; `None` if there is no such registry, or its notifications are not
    /// signed.
    pub async fn registry_sealed_hook_secret(&self, id: RegistryId) -> Result<Option<String>> {
        let row: Option<(Option<String>,)> =
            sql("SELECT sealed_hook_secret FROM registries WHERE id = $1").bind(id).optional(&self.db).await?;
        Ok(row.and_then(|(sealed,)| sealed))
    }

    /// What each registry has, by id.
    pub async fn registry_sizes(&self) -> Result<Vec<(RegistryId, RegistrySize)>> {
        let rows: Vec<(i64, i64, i64)> = sql("SELECT r.id,
                 (SELECT COUNT(*) FROM images i WHERE i.registry_id = r.id AND i.job_version_id IS NOT NULL),
                 (SELECT COUNT(*) FROM repositories p WHERE p.registry_id = r.id AND p.failures > 0)
             FROM registries r ORDER BY r.id")
        .all(&self.db)
        .await?;
        let size = |images: i64, failing: i64| RegistrySize {
            images: images.unsigned_abs(),
            failing_repositories: failing.unsigned_abs(),
        };
        Ok(rows.into_iter().map(|(id, images, failing)| (RegistryId(id), size(images, failing))).collect())
    }

    /// What [`Store::registry_delete`] would remove.
    pub async fn registry_loss(&self, id: RegistryId) -> Result<RegistryLoss> {
        let (images, jobs): (i64, i64) = sql("SELECT
                 (SELECT COUNT(*) FROM images WHERE registry_id = $1 AND job_version_id IS NOT NULL),
                 (SELECT COUNT(*) FROM (
                     SELECT v.job_id FROM images i JOIN job_versions v ON v.id = i.job_version_id
                     GROUP BY v.job_id HAVING MIN(i.registry_id) = $1 AND MAX(i.registry_id) = $1) AS only_here)")
        .bind(id)
        .one(&self.db)
        .await?;
        Ok(RegistryLoss { images: images.unsigned_abs(), jobs: jobs.unsigned_abs() })
    }

    /// Removes a registry with its images, scans and problems, and the jobs and versions without other images, in one
    /// transaction. Inserts an event for each catalogued image, and increments the catalogue's revision if there was
    /// one. An active scan loses its lease. `false`: no such registry.
    pub async fn registry_delete(&self, id: RegistryId, now: DateTime<Utc>) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let outcome = delete(&mut tx, id, now, self.db.lock(RowLock::Wait)).await;
        tx.end(outcome).await
    }
}

async fn delete(tx: &mut WriteTransaction, id: RegistryId, now: DateTime<Utc>, lock: &str) -> Result<bool> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    let left = find_touched_rows(tx, "registry_id", vec![[id.into()]]).await?;
    events::registry_goes(tx, id, now).await?;
    tombstones::registry_goes(tx, id, now).await?;
    sql("DELETE FROM images WHERE registry_id = $1").bind(id).execute(&mut *tx).await?;
    if !left.is_empty() {
        derive(tx, ArrivedSelection::Changed, left, revision, now).await?;
        catalogue_set_removed(tx, revision).await?;
        catalogue_set_revision(tx, revision).await?;
    }
    sql("INSERT INTO closed_registries (id) SELECT id FROM registries WHERE id = $1 AND visibility <> 'public'")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    sql("DELETE FROM registries WHERE id = $1").bind(id).execute(tx).await.map(|found| found > 0)
}

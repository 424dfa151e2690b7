//! Files that users upload as inputs, and each user's quota for them. Space is reserved before bytes are written, so
//! that concurrent uploads stay within the quota: for an upload in a row with a lease, for the files that a run fetches
//! in the run's row.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::db::{RowLock, WriteTransaction, sql};
use super::scans::held;
use super::{ClaimedRun, Result, Store};
use crate::catalog::{UploadedFile, UserId};

row!(UploadedFile { sha256, owner_id, name, size, created_at, used_at });

/// A request to reserve space, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct UploadRoom {
    pub owner: UserId,
    /// The least that must be reserved.
    pub needed: u64,
    /// The amount to reserve, if available.
    pub wanted: u64,
    /// The user's quota.
    pub most: u64,
}

/// The position of an upload in the list of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPosition {
    pub created_at: DateTime<Utc>,
    pub sha256: String,
}

impl Store {
    /// Reserves space for an upload to a host; returns the total reserved, or `None` if less than needed is available.
    /// The reservation ends at `lease_until` unless renewed by another call. Leases that end later were made by a clock
    /// that was ahead, and are cut to it.
    pub async fn upload_reserve(
        &self,
        id: &str,
        host: &str,
        room: UploadRoom,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<u64>> {
        let mut tx = self.db.write().await?;
        let reserved = async {
            sql("DELETE FROM upload_reservations WHERE lease_until <= $1").bind(now).execute(&mut tx).await?;
            sql("UPDATE upload_reservations SET lease_until = $1 WHERE lease_until > $1")
                .bind(lease_until)
                .execute(&mut tx)
                .await?;
            let Some(bytes) = grant(&mut tx, self.db.lock(RowLock::Wait), id, room).await? else { return Ok(None) };
            sql("INSERT INTO upload_reservations (id, owner_id, host, bytes, lease_until) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, lease_until = excluded.lease_until")
            .bind(id)
            .bind(room.owner)
            .bind(host)
            .bind(bytes)
            .bind(lease_until)
            .execute(&mut tx)
            .await?;
            Ok(Some(bytes))
        }
        .await;
        tx.end(reserved).await
    }

    /// Releases the reservation of an upload that was not completed.
    pub async fn upload_release(&self, id: &str) -> Result<()> {
        sql("DELETE FROM upload_reservations WHERE id = $1").bind(id).execute(&self.db).await.map(drop)
    }

    /// Releases the reservations of uploads to a host. For a process that knows it is the only one on the host. Returns
    /// their number.
    pub async fn upload_release_host(&self, host: &str) -> Result<u64> {
        sql("DELETE FROM upload_reservations WHERE host = $1").bind(host).execute(&self.db).await
    }

    /// Stores an upload in place of its reservation; an upload of the same content replaces the name.
    pub async fn upload_put(&self, upload: &UploadedFile, reservation: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        let put = async {
            sql("DELETE FROM upload_reservations WHERE id = $1").bind(reservation).execute(&mut tx).await?;
            sql("INSERT INTO uploads (sha256, owner_id, name, size, created_at, used_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (sha256, owner_id) DO UPDATE SET name = excluded.name, used_at = excluded.used_at")
            .bind(&upload.sha256)
            .bind(upload.owner_id)
            .bind(&upload.name)
            .bind(upload.size)
            .bind(upload.created_at)
            .bind(upload.used_at)
            .execute(&mut tx)
            .await
            .map(drop)
        }
        .await;
        tx.end(put).await
    }

    /// Reserves space for the inputs that a run fetches, until its attempt ends; returns as [`Store::upload_reserve`]
    /// does.
    ///
    /// # Errors
    /// [`super::Error::LeaseLost`] if the run is no longer this worker's.
    pub async fn run_reserve(&self, claim: &ClaimedRun, room: UploadRoom) -> Result<Option<u64>> {
        let mut tx = self.db.write().await?;
        let reserved = async {
            let Some(bytes) = grant(&mut tx, self.db.lock(RowLock::Wait), &claim.id, room).await? else {
                return Ok(None);
            };
            sql("UPDATE runs SET fetched_bytes = $1 WHERE id = $2 AND lease_token = $3")
                .bind(bytes)
                .bind(&claim.id)
                .bind(&claim.token)
                .execute(&mut tx)
                .await
                .and_then(held)?;
            Ok(Some(bytes))
        }
        .await;
        tx.end(reserved).await
    }

    /// A user's uploaded file; marks it as used now.
    pub async fn upload_use(&self, owner: UserId, sha256: &str, now: DateTime<Utc>) -> Result<Option<UploadedFile>> {
        sql("UPDATE uploads SET used_at = $1 WHERE sha256 = $2 AND owner_id = $3
             RETURNING sha256, owner_id, name, size, created_at, used_at")
        .bind(now)
        .bind(sha256)
        .bind(owner)
        .optional(&self.db)
        .await
    }

    /// Stores the metadata that a job gave for a file, replacing earlier metadata.
    pub async fn file_metadata_put(
        &self,
        owner: UserId,
        sha256: &str,
        metadata: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        sql("INSERT INTO file_metadata (sha256, owner_id, metadata, used_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (sha256, owner_id) DO UPDATE SET metadata = excluded.metadata, used_at = excluded.used_at")
        .bind(sha256)
        .bind(owner)
        .bind(metadata)
        .bind(now)
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// The metadata that a user's jobs gave for a file; marks it as used now.
    pub async fn file_metadata_use(&self, owner: UserId, sha256: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        let row: Option<(String,)> =
            sql("UPDATE file_metadata SET used_at = $1 WHERE sha256 = $2 AND owner_id = $3 RETURNING metadata")
                .bind(now)
                .bind(sha256)
                .bind(owner)
                .optional(&self.db)
                .await?;
        Ok(row.map(|(metadata,)| metadata))
    }

    /// The metadata that a user's jobs gave for a file.
    pub async fn file_metadata_get(&self, owner: UserId, sha256: &str) -> Result<Option<String>> {
        let row: Option<(String,)> = sql("SELECT metadata FROM file_metadata WHERE sha256 = $1 AND owner_id = $2")
            .bind(sha256)
            .bind(owner)
            .optional(&self.db)
            .await?;
        Ok(row.map(|(metadata,)| metadata))
    }

    /// Deletes metadata that no run has used since `before`, except of uploads that still exist.
    pub async fn file_metadata_prune(&self, before: DateTime<Utc>) -> Result<u64> {
        sql("DELETE FROM file_metadata WHERE used_at < $1 AND NOT EXISTS (
                 SELECT 1 FROM uploads WHERE uploads.sha256 = file_metadata.sha256
                 AND uploads.owner_id = file_metadata.owner_id)")
        .bind(before)
        .execute(&self.db)
        .await
    }

    /// A user's uploaded file.
    pub async fn upload_get(&self, owner: UserId, sha256: &str) -> Result<Option<UploadedFile>> {
        sql("SELECT sha256, owner_id, name, size, created_at, used_at FROM uploads WHERE sha256 = $1 AND owner_id = $2")
            .bind(sha256)
            .bind(owner)
            .optional(&self.db)
            .await
    }

    /// A user's uploads after a position, newest first.
    pub async fn upload_list(
        &self,
        owner: UserId,
        after: Option<&UploadPosition>,
        limit: u32,
    ) -> Result<Vec<UploadedFile>> {
        let (created_at, sha256) =
            after.map_or((i64::MAX, ""), |it| (it.created_at.timestamp_millis(), it.sha256.as_str()));
        sql("SELECT sha256, owner_id, name, size, created_at, used_at FROM uploads
             WHERE owner_id = $1 AND (created_at, sha256) < ($2, $3)
             ORDER BY created_at DESC, sha256 DESC LIMIT $4")
        .bind(owner)
        .bind(created_at)
        .bind(sha256)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// Deletes uploads that were not used since `before`; returns the digests that no other user has uploaded.
    pub async fn upload_prune(&self, before: DateTime<Utc>) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sql("DELETE FROM uploads WHERE used_at < $1 RETURNING sha256").bind(before).all(&self.db).await?;
        let mut gone = Vec::new();
        for (sha256,) in rows {
            let left: Option<(i64,)> =
                sql("SELECT owner_id FROM uploads WHERE sha256 = $1 LIMIT 1").bind(&sha256).optional(&self.db).await?;
            if left.is_none() && !gone.contains(&sha256) {
                gone.push(sha256);
            }
        }
        Ok(gone)
    }
}

/// The amount to reserve for an upload or a run, within what the owner's other files and reservations leave of the
/// quota.
async fn grant(tx: &mut WriteTransaction, lock: &'static str, id: &str, room: UploadRoom) -> Result<Option<u64>> {
    // Serializes concurrent requests of one user.
    let owner = sql(format!("SELECT id FROM users WHERE id = $1 {lock}")).bind(room.owner);
    owner.optional::<(i64,)>(&mut *tx).await?;
    let (others,): (i64,) = sql("SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM (
             SELECT size AS bytes FROM uploads WHERE owner_id = $1
             UNION ALL SELECT bytes FROM upload_reservations WHERE owner_id = $1 AND id <> $2
             UNION ALL SELECT fetched_bytes FROM runs WHERE owner_id = $1 AND fetched_bytes > 0 AND id <> $2) AS others")
    .bind(room.owner)
    .bind(id)
    .one(tx)
    .await?;
    let left = room.most.saturating_sub(others.unsigned_abs());
    Ok((room.needed <= left).then(|| room.wanted.clamp(room.needed, left)))
}

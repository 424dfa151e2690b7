//! Files that users sent to be inputs, and the room that each user has for them. Room is reserved before bytes are written, so that
//! many files at once keep within it: for a file that is being sent by a row with a lease, for what a run fetches in the run's own
//! row.

use chrono::{DateTime, Utc};

use super::db::{Lock, Tx, sql};
use super::scans::held;
use super::value::row;
use super::{ClaimedRun, Result, Store};
use crate::catalog::{Upload, UserId};

row!(Upload { sha256, owner_id, name, size, created_at, used_at });

/// Room that is wanted, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct UploadRoom {
    pub owner: UserId,
    /// What is reserved has to reach so far.
    pub needed: u64,
    /// As much is reserved, if it is there.
    pub wanted: u64,
    /// What one user may have in all.
    pub most: u64,
}

impl Store {
    /// Reserves room for a file that is being sent to a host: how much it is in all; `None`: there is not as much as is needed. It
    /// is kept until `lease_until`, unless this is called again before. A lease that ends later was made by a clock that was
    /// ahead, and is cut to it.
    pub async fn upload_reserve(
        &self,
        (id, host): (&str, &str),
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
            let Some(bytes) = grant(&mut tx, self.db.lock(Lock::Wait), id, room).await? else { return Ok(None) };
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

    /// Gives back what was reserved for a file that did not come to its end.
    pub async fn upload_release(&self, id: &str) -> Result<()> {
        sql("DELETE FROM upload_reservations WHERE id = $1").bind(id).execute(&self.db).await.map(drop)
    }

    /// Gives back what was reserved for files that came to a host, for a silo that knows that it is the only one there. How many.
    pub async fn upload_release_host(&self, host: &str) -> Result<u64> {
        sql("DELETE FROM upload_reservations WHERE host = $1").bind(host).execute(&self.db).await
    }

    /// Notes a file that a user sent, or sent again: then under its new name. It takes the place of what was reserved for it.
    pub async fn upload_put(&self, upload: &Upload, reservation: &str) -> Result<()> {
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

    /// Reserves room for the inputs that a run fetches, until its attempt has ended: how much it is in all, as for files that are
    /// sent.
    ///
    /// # Errors
    /// [`super::Error::LeaseLost`] when the run is not ours any more.
    pub async fn run_reserve(&self, claim: &ClaimedRun, room: UploadRoom) -> Result<Option<u64>> {
        let mut tx = self.db.write().await?;
        let reserved = async {
            let Some(bytes) = grant(&mut tx, self.db.lock(Lock::Wait), &claim.id, room).await? else {
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

    /// A file that a user sent, which is noted as used now.
    pub async fn upload_use(&self, owner: UserId, sha256: &str, now: DateTime<Utc>) -> Result<Option<Upload>> {
        sql("UPDATE uploads SET used_at = $1 WHERE sha256 = $2 AND owner_id = $3
             RETURNING sha256, owner_id, name, size, created_at, used_at")
        .bind(now)
        .bind(sha256)
        .bind(owner)
        .optional(&self.db)
        .await
    }

    /// Notes what a job has said of a file, in place of what was said before.
    pub async fn file_metadata_put(
        &self,
        owner: UserId,
        (sha256, metadata): (&str, &str),
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

    /// What a user's jobs have said of a file, which is noted as used now.
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

    /// What a user's jobs have said of a file.
    pub async fn file_metadata_get(&self, owner: UserId, sha256: &str) -> Result<Option<String>> {
        let row: Option<(String,)> = sql("SELECT metadata FROM file_metadata WHERE sha256 = $1 AND owner_id = $2")
            .bind(sha256)
            .bind(owner)
            .optional(&self.db)
            .await?;
        Ok(row.map(|(metadata,)| metadata))
    }

    /// Forgets what was said of files that no run was given since a moment, unless they are still here.
    pub async fn file_metadata_prune(&self, before: DateTime<Utc>) -> Result<u64> {
        sql("DELETE FROM file_metadata WHERE used_at < $1 AND NOT EXISTS (
                 SELECT 1 FROM uploads WHERE uploads.sha256 = file_metadata.sha256
                 AND uploads.owner_id = file_metadata.owner_id)")
        .bind(before)
        .execute(&self.db)
        .await
    }

    /// A file that a user sent.
    pub async fn upload_get(&self, owner: UserId, sha256: &str) -> Result<Option<Upload>> {
        sql("SELECT sha256, owner_id, name, size, created_at, used_at FROM uploads WHERE sha256 = $1 AND owner_id = $2")
            .bind(sha256)
            .bind(owner)
            .optional(&self.db)
            .await
    }

    /// Forgets files that nobody has used since a moment: the contents that no other user has either.
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

/// How much may be reserved for a file or a run: what others leave of what the owner may have.
async fn grant(tx: &mut Tx, lock: &'static str, id: &str, room: UploadRoom) -> Result<Option<u64>> {
    // Two of one user ask one after the other.
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

//! Commits the steps and the end of a scan to the catalogue. Jobs are derived in `derive.rs`.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::catalogue_row::{catalogue_lock, catalogue_set_removed, catalogue_set_revision};
use super::columns::{SqlValue, json};
use super::contents;
use super::db::{RowLock, WriteTransaction, bulk, sql};
use super::derive::{ArrivedSelection, derive, find_touched_rows};
use super::events;
use super::repositories;
use super::scans::held;
use super::tombstones::{self, RevivedIds};
use super::{ClaimedScan, Result, ScanResult, ScanStep, Store};
use crate::catalog::{NewScanProblem, RegistryId, ScanCounts, ScanId, TagChanges};

impl Store {
    /// Commits a part of a scan's findings in one transaction: images, contents, jobs and job versions, problems,
    /// states of repositories, counts. Increments the catalogue's revision if any tag changed. Ids of jobs and versions
    /// stay the same while they exist.
    ///
    /// # Errors
    /// [`super::Error::LeaseLost`] if the scan is no longer this worker's.
    pub async fn scan_step(&self, claim: &ClaimedScan, step: &ScanStep, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = apply_step(&mut tx, claim, step, now, self.db.lock(RowLock::Wait)).await;
        tx.end(outcome).await
    }

    /// Commits the last step and the end of a scan, in one transaction.
    ///
    /// # Errors
    /// As [`Store::scan_step`].
    pub async fn scan_finish(&self, claim: &ClaimedScan, result: &ScanResult, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = finish(&mut tx, claim, result, now, self.db.lock(RowLock::Wait)).await;
        tx.end(outcome).await
    }
}

async fn apply_step(
    tx: &mut WriteTransaction,
    claim: &ClaimedScan,
    step: &ScanStep,
    now: DateTime<Utc>,
    lock: &str,
) -> Result<()> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    sql("UPDATE scans SET counts = $1 WHERE id = $2 AND state = 'running' AND lease_token = $3")
        .bind(json(&step.counts))
        .bind(claim.id)
        .bind(&claim.token)
        .execute(&mut *tx)
        .await
        .and_then(held)?;
    take(tx, claim, step, revision, now).await
}

async fn finish(
    tx: &mut WriteTransaction,
    claim: &ClaimedScan,
    result: &ScanResult,
    now: DateTime<Utc>,
    lock: &str,
) -> Result<()> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    end_scan(tx, claim, result, now).await?;
    take(tx, claim, &result.step, revision, now).await?;
    repositories::settle(tx, claim.registry_id, result).await?;
    sort_problems(tx, claim.id).await?;
    store_counts(tx, claim, result.step.counts).await
}

async fn take(
    tx: &mut WriteTransaction,
    claim: &ClaimedScan,
    step: &ScanStep,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    insert_problems(tx, claim.id, &step.problems).await?;
    repositories::keep(tx, claim.registry_id, &step.repositories, now).await?;
    bulk("DELETE FROM hints WHERE id IN (", step.hints.iter().map(|id| [(*id).into()]), ")").execute(&mut *tx).await?;
    let replaced = contents::insert(tx, claim.registry_id, &step.contents).await?;
    let changes = without_hearsay(tx, claim.registry_id, &step.changes).await?;
    if changes.is_empty() && replaced.is_empty() {
        return Ok(());
    }
    let ids = changes.point.iter().map(|(id, _)| *id).chain(changes.remove.iter().copied());
    let mut left = find_touched_rows(tx, "id", ids.map(|id| [id.into()]).collect()).await?;
    left.append(find_touched_rows(tx, "digest", replaced.iter().map(|digest| [digest.into()]).collect()).await?);
    events::record_replaced_contents(tx, &replaced, now).await?;
    events::record_removed_and_moved(tx, claim.registry_id, &changes, now).await?;
    detach_from_jobs(tx, &replaced, revision).await?;
    apply(tx, claim.registry_id, &changes, revision, now).await?;
    events::record_added(tx, claim.registry_id, &changes, now).await?;
    derive(tx, ArrivedSelection::Changed, left, revision, now).await?;
    if !changes.point.is_empty() || !changes.remove.is_empty() || !replaced.is_empty() {
        catalogue_set_removed(tx, revision).await?;
    }
    catalogue_set_revision(tx, revision).await
}

/// The changes without those to digests whose stored content only another registry claims, unchecked: it was stored
/// after the scan looked. The next scan reads them.
async fn without_hearsay(tx: &mut WriteTransaction, registry: RegistryId, changes: &TagChanges) -> Result<TagChanges> {
    let rows: Vec<(String,)> = bulk(
        "SELECT digest FROM contents WHERE digest IN (",
        changes.digests().map(|digest| [digest.into()]),
        &format!(") AND told_by IS NOT NULL AND told_by <> {registry}"),
    )
    .all(tx)
    .await?;
    let mut changes = changes.clone();
    if !rows.is_empty() {
        let foreign: HashSet<String> = rows.into_iter().map(|(digest,)| digest).collect();
        changes.add.retain(|(_, _, digest)| !foreign.contains(digest));
        changes.point.retain(|(_, digest)| !foreign.contains(digest));
    }
    Ok(changes)
}

/// Detaches images whose content was replaced from their jobs, until these are derived again.
async fn detach_from_jobs(tx: &mut WriteTransaction, digests: &[String], revision: i64) -> Result<()> {
    bulk(
        &format!("UPDATE images SET job_version_id = NULL, origin_id = NULL, revision = {revision} WHERE digest IN ("),
        digests.iter().map(|digest| [digest.into()]),
        ")",
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Stores the counts with the number of the registry's Seed images, which is known only now.
async fn store_counts(tx: &mut WriteTransaction, claim: &ClaimedScan, counts: ScanCounts) -> Result<()> {
    let (images,): (i64,) = sql("SELECT COUNT(*) FROM images WHERE registry_id = $1 AND job_version_id IS NOT NULL")
        .bind(claim.registry_id)
        .one(&mut *tx)
        .await?;
    let counts = ScanCounts { images: images.unsigned_abs(), ..counts };
    sql("UPDATE scans SET counts = $1 WHERE id = $2").bind(json(&counts)).bind(claim.id).execute(tx).await.map(drop)
}

async fn end_scan(
    tx: &mut WriteTransaction,
    claim: &ClaimedScan,
    result: &ScanResult,
    now: DateTime<Utc>,
) -> Result<()> {
    sql("UPDATE scans SET state = $1, error = $2, finished_at = $3, lease_token = NULL, lease_until = NULL
         WHERE id = $4 AND state = 'running' AND lease_token = $5")
    .bind(result.state)
    .bind(result.error.as_deref())
    .bind(now)
    .bind(claim.id)
    .bind(&claim.token)
    .execute(tx)
    .await
    .and_then(held)
}

/// Numbers the problems on from those stored by earlier steps.
async fn insert_problems(tx: &mut WriteTransaction, scan: ScanId, problems: &[NewScanProblem]) -> Result<()> {
    let (last,): (i64,) =
        sql("SELECT COALESCE(MAX(seq), 0) FROM scan_problems WHERE scan_id = $1").bind(scan).one(&mut *tx).await?;
    let rows = (last + 1..).zip(problems).map(|(seq, problem)| {
        let NewScanProblem { code, repository, tag, message } = problem;
        [scan.into(), seq.into(), code.into(), repository.into(), tag.into(), message.into()]
    });
    bulk("INSERT INTO scan_problems (scan_id, seq, code, repository, tag, message)", rows, "")
        .execute(tx)
        .await
        .map(drop)
}

/// Numbers the problems by repository, tag and code, so that their order does not depend on the steps of this scan.
async fn sort_problems(tx: &mut WriteTransaction, scan: ScanId) -> Result<()> {
    sql("UPDATE scan_problems SET seq = -sorted.place
         FROM (SELECT seq AS met, ROW_NUMBER() OVER (ORDER BY repository, tag, code, seq) AS place
               FROM scan_problems WHERE scan_id = $1) AS sorted
         WHERE scan_id = $1 AND seq = sorted.met")
    .bind(scan)
    .execute(&mut *tx)
    .await?;
    // In two statements, so that no number is used twice in between.
    sql("UPDATE scan_problems SET seq = -seq WHERE scan_id = $1").bind(scan).execute(tx).await.map(drop)
}

/// Adds, moves and removes tags of one registry. Job versions are assigned by [`mod@super::derive`].
async fn apply(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    changes: &TagChanges,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    tombstones::tombstone_images(tx, changes.remove.iter().map(|id| (*id).into()), now).await?;
    bulk(
        "DELETE FROM images WHERE id IN (",
        changes.remove.iter().map(|id| [(*id).into()]),
        &format!(") AND registry_id = {registry}"),
    )
    .execute(&mut *tx)
    .await?;
    bulk(
        "WITH moved (id, until) AS (",
        changes.point.iter().map(|(id, _)| [(*id).into(), now.into()]),
        &format!(
            ") INSERT INTO image_history (image_id, digest, since, until)
             SELECT i.id, i.digest, i.changed_at, moved.until
             FROM images i JOIN moved ON moved.id = i.id WHERE i.registry_id = {registry}"
        ),
    )
    .execute(&mut *tx)
    .await?;
    bulk(
        "WITH moved (id, digest, changed_at, revision) AS (",
        changes.point.iter().map(|(id, digest)| [(*id).into(), digest.into(), now.into(), revision.into()]),
        &format!(
            ") UPDATE images SET digest = moved.digest, job_version_id = NULL, origin_id = NULL,
                 changed_at = moved.changed_at, revision = moved.revision
             FROM moved WHERE images.id = moved.id AND images.registry_id = {registry}"
        ),
    )
    .execute(&mut *tx)
    .await?;
    insert_images(tx, registry, &changes.add, revision, now).await
}

/// Inserts tags; those that come back get their former ids.
async fn insert_images(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    add: &[(String, String, String)],
    revision: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    let names = add.iter().map(|(repository, tag, _)| (repository.as_str(), tag.as_str()));
    let revived = tombstones::revive_images(tx, registry, names, now).await?;
    let of = |(repository, tag, _): &(String, String, String)| -> Option<RevivedIds> {
        revived.get(&(repository.as_str(), tag.as_str())).copied()
    };
    let row =
        |(repository, tag, digest): &'_ (String, String, String), since: DateTime<Utc>| -> [SqlValue<'static>; 7] {
            [
                registry.into(),
                repository.clone().into(),
                tag.clone().into(),
                digest.clone().into(),
                since.into(),
                now.into(),
                revision.into(),
            ]
        };
    bulk(
        "INSERT INTO images (registry_id, repository, tag, digest, first_seen_at, changed_at, revision)",
        add.iter().filter(|new| of(new).is_none()).map(|new| row(new, now)),
        "",
    )
    .execute(&mut *tx)
    .await?;
    let back = add.iter().filter_map(|new| Some((new, of(new)?))).map(|(new, RevivedIds { id, since })| {
        let [registry, repository, tag, digest, first_seen_at, changed_at, revision] = row(new, since);
        [id.into(), registry, repository, tag, digest, first_seen_at, changed_at, revision]
    });
    bulk("INSERT INTO images (id, registry_id, repository, tag, digest, first_seen_at, changed_at, revision)", back, "")
        .execute(tx)
        .await
        .map(drop)
}

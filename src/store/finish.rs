//! Where the catalogue changes: the end of a scan, and the jobs that follow from images.
//!
//! Whoever changes images locks the catalogue's row first. So there is one such transaction at a time, jobs are derived
//! from all images, and nobody waits for somebody who waits for him.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::contents;
use super::db::{Lock, Tx, bulk, sql};
use super::events;
use super::scans::held;
use super::value::{Value, json, row};
use super::{ClaimedScan, Result, ScanResult, Store};
use crate::catalog::{
    Changes, DerivedJob, ImageId, JobId, JobVersionId, ManifestFacts, NewScanProblem, RegistryId, ScanCounts, ScanId,
    derive_jobs,
};

impl Store {
    /// Ends a scan: applies the result to images, contents, jobs and job versions, stores problems (numbered from 1) and
    /// counts, raises the catalogue revision when any tag changed — all in one transaction, or nothing. Ids of jobs
    /// and versions stay while they exist.
    ///
    /// # Errors
    /// [`super::Error::LeaseLost`] when the scan is not ours any more.
    pub async fn scan_finish(&self, claim: &ClaimedScan, result: &ScanResult, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.write().await?;
        let outcome = finish(&mut tx, claim, result, now, self.db.lock(Lock::Wait)).await;
        tx.end(outcome).await
    }
}

async fn finish(tx: &mut Tx, claim: &ClaimedScan, result: &ScanResult, now: DateTime<Utc>, lock: &str) -> Result<()> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    end_scan(tx, claim, result, now).await?;
    insert_problems(tx, claim.id, &result.problems).await?;
    contents::insert(tx, &result.contents).await?;
    if !result.changes.is_empty() {
        change_catalogue(tx, claim.registry_id, &result.changes, revision, now).await?;
    }
    store_counts(tx, claim, result.counts).await
}

async fn change_catalogue(
    tx: &mut Tx,
    registry: RegistryId,
    changes: &Changes,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    let mut names = job_names_before(tx, changes).await?;
    events::tags_go_and_move(tx, registry, changes, now).await?;
    apply(tx, registry, changes, revision, now).await?;
    events::tags_came(tx, registry, changes, now).await?;
    names.append(&mut job_names_after(tx, changes).await?);
    rederive_jobs(tx, &names, revision).await?;
    catalogue_set_revision(tx, revision).await
}

/// The counts, with the number of Seed images that the registry has now: only here are all of them known.
async fn store_counts(tx: &mut Tx, claim: &ClaimedScan, counts: ScanCounts) -> Result<()> {
    let (images,): (i64,) = sql("SELECT COUNT(*) FROM images WHERE registry_id = $1 AND job_version_id IS NOT NULL")
        .bind(claim.registry_id)
        .one(&mut *tx)
        .await?;
    let counts = ScanCounts { images: images.unsigned_abs(), ..counts };
    sql("UPDATE scans SET counts = $1 WHERE id = $2").bind(json(&counts)).bind(claim.id).execute(tx).await.map(drop)
}

/// Keeps every other change of images and jobs out until the transaction ends; the revision as it stands.
pub(super) async fn catalogue_lock(tx: &mut Tx, lock: &str) -> Result<i64> {
    let (revision,) = sql(format!("SELECT revision FROM catalogue {lock}")).one(tx).await?;
    Ok(revision)
}

pub(super) async fn catalogue_set_revision(tx: &mut Tx, revision: i64) -> Result<()> {
    sql("UPDATE catalogue SET revision = $1").bind(revision).execute(tx).await.map(drop)
}

async fn end_scan(tx: &mut Tx, claim: &ClaimedScan, result: &ScanResult, now: DateTime<Utc>) -> Result<()> {
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

async fn insert_problems(tx: &mut Tx, scan: ScanId, problems: &[NewScanProblem]) -> Result<()> {
    let rows = (1_i64..).zip(problems).map(|(seq, problem)| {
        let NewScanProblem { code, repository, tag, message } = problem;
        [scan.into(), seq.into(), code.into(), repository.into(), tag.into(), message.into()]
    });
    bulk("INSERT INTO scan_problems (scan_id, seq, code, repository, tag, message)", rows, "")
        .execute(tx)
        .await
        .map(drop)
}

/// Jobs that may lose images.
async fn job_names_before(tx: &mut Tx, changes: &Changes) -> Result<BTreeSet<String>> {
    let ids = changes.point.iter().map(|(id, _)| *id).chain(changes.remove.iter().copied());
    let rows: Vec<(String,)> = bulk(
        "SELECT DISTINCT c.job_name FROM images i JOIN contents c ON c.digest = i.digest
         WHERE c.outcome = 'seed' AND i.id IN (",
        ids.map(|id| [id.into()]),
        ")",
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// Jobs that may gain images.
async fn job_names_after(tx: &mut Tx, changes: &Changes) -> Result<BTreeSet<String>> {
    let digests = changes.add.iter().map(|(_, _, digest)| digest).chain(changes.point.iter().map(|(_, digest)| digest));
    let rows: Vec<(String,)> = bulk(
        "SELECT DISTINCT job_name FROM contents WHERE outcome = 'seed' AND digest IN (",
        digests.map(|digest| [digest.into()]),
        ")",
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// Adds, moves and removes tags of one registry. Job versions are left to [`rederive_jobs`].
async fn apply(tx: &mut Tx, registry: RegistryId, changes: &Changes, revision: i64, now: DateTime<Utc>) -> Result<()> {
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
            ") UPDATE images SET digest = moved.digest, job_version_id = NULL, changed_at = moved.changed_at,
                 revision = moved.revision
             FROM moved WHERE images.id = moved.id AND images.registry_id = {registry}"
        ),
    )
    .execute(&mut *tx)
    .await?;
    let new = |(repository, tag, digest): &'_ (String, String, String)| -> [Value<'static>; 7] {
        [
            registry.into(),
            repository.clone().into(),
            tag.clone().into(),
            digest.clone().into(),
            now.into(),
            now.into(),
            revision.into(),
        ]
    };
    bulk(
        "INSERT INTO images (registry_id, repository, tag, digest, first_seen_at, changed_at, revision)",
        changes.add.iter().map(new),
        "",
    )
    .execute(tx)
    .await
    .map(drop)
}

/// An image that has a job.
struct Derivable {
    id: ImageId,
    job_version_id: Option<JobVersionId>,
    /// Without manifest and problems, which no job shows.
    facts: ManifestFacts,
}
row!(Derivable { id, job_version_id } + { facts });

/// Makes the jobs of these names, and their versions, what the images say. What is still there keeps its id; images
/// that come to another job version are marked with the revision.
pub(super) async fn rederive_jobs(tx: &mut Tx, names: &BTreeSet<String>, revision: i64) -> Result<()> {
    let images: Vec<Derivable> = bulk(
        "SELECT i.id, i.job_version_id, c.job_name, c.job_version, c.package_version, c.title, c.description,
             c.maintainer, c.email, c.maint_org, '' AS manifest, c.valid, '[]' AS manifest_problems
         FROM images i JOIN contents c ON c.digest = i.digest
         WHERE c.outcome = 'seed' AND c.job_name IN (",
        names.iter().map(|name| [name.into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    let images: HashMap<ImageId, Derivable> = images.into_iter().map(|image| (image.id, image)).collect();
    let jobs = derive_jobs(images.values().map(|image| (image.id, &image.facts)));
    let job_ids = upsert_jobs(tx, &jobs, &images).await?;
    let version_ids = upsert_versions(tx, &jobs, &job_ids).await?;
    let versions = jobs.iter().flat_map(|job| &job.versions).zip(version_ids);
    let members = versions.flat_map(|(version, id)| version.images.iter().map(move |image| (*image, id)));
    let moved = members.filter(|(image, version)| images[image].job_version_id != Some(*version));
    bulk(
        "WITH moved (id, job_version_id, revision) AS (",
        moved.map(|(image, version)| [image.into(), version.into(), revision.into()]),
        ") UPDATE images SET job_version_id = moved.job_version_id, revision = moved.revision
         FROM moved WHERE images.id = moved.id",
    )
    .execute(&mut *tx)
    .await?;
    sql("DELETE FROM job_versions WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.job_version_id = job_versions.id)")
        .execute(&mut *tx)
        .await?;
    sql("DELETE FROM jobs WHERE NOT EXISTS (SELECT 1 FROM job_versions v WHERE v.job_id = jobs.id)")
        .execute(tx)
        .await
        .map(drop)
}

/// The ids of the jobs, in their order.
async fn upsert_jobs(tx: &mut Tx, jobs: &[DerivedJob], images: &HashMap<ImageId, Derivable>) -> Result<Vec<JobId>> {
    let rows = jobs.iter().map(|job| {
        let latest = &images[&job.latest].facts;
        [
            Value::from(&job.name),
            Value::from(&latest.job_version),
            Value::from(&latest.package_version),
            Value::from(&latest.title),
            Value::from(&latest.maintainer),
            Value::from(&latest.email),
            Value::from(&latest.maint_org),
            Value::from(&latest.description),
        ]
    });
    let written: Vec<(String, i64)> = bulk(
        "INSERT INTO jobs (name, latest_job_version, latest_package_version, title, maintainer, email, maint_org,
             description)",
        rows,
        "ON CONFLICT (name) DO UPDATE SET latest_job_version = excluded.latest_job_version,
             latest_package_version = excluded.latest_package_version, title = excluded.title,
             maintainer = excluded.maintainer, email = excluded.email, maint_org = excluded.maint_org,
             description = excluded.description
         RETURNING name, id",
    )
    .all(tx)
    .await?;
    let ids: HashMap<String, i64> = written.into_iter().collect();
    Ok(jobs.iter().map(|job| JobId(ids[&job.name])).collect())
}

/// The ids of the jobs' versions, in the order of jobs and versions.
async fn upsert_versions(tx: &mut Tx, jobs: &[DerivedJob], job_ids: &[JobId]) -> Result<Vec<JobVersionId>> {
    let versions =
        || jobs.iter().zip(job_ids).flat_map(|(job, id)| job.versions.iter().map(move |version| (*id, version)));
    let rows = versions().map(|(job, version)| {
        [job.into(), Value::from(&version.job_version), Value::from(&version.latest_package_version)]
    });
    let written: Vec<(i64, String, i64)> = bulk(
        "INSERT INTO job_versions (job_id, job_version, latest_package_version)",
        rows,
        "ON CONFLICT (job_id, job_version) DO UPDATE SET latest_package_version = excluded.latest_package_version
         RETURNING job_id, job_version, id",
    )
    .all(tx)
    .await?;
    let ids: HashMap<(i64, String), i64> = written.into_iter().map(|(job, version, id)| ((job, version), id)).collect();
    Ok(versions().map(|(job, version)| JobVersionId(ids[&(job.0, version.job_version.clone())])).collect())
}

//! Keeps jobs and job versions up to date as images are added, moved and removed; the cost of a change does not depend
//! on how many images its jobs have. The result equals that of [`crate::catalog::derive_jobs`] over all images; a test
//! compares both.
//!
//! An added or moved image has the revision of its change and no job version. Of removed images the versions and
//! origins that they had are known (`origins.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::catalogue_row::{catalogue_lock, catalogue_set_revision};
use super::columns::SqlValue;
use super::db::{RowLock, WriteTransaction, bulk, sql};
use super::origins::{self, ArrivedImage};
use super::tombstones;
use super::{Result, Store};

/// Ids of the versions and origins that images are added to or removed from.
#[derive(Default)]
pub(super) struct TouchedRows {
    pub versions: BTreeSet<i64>,
    pub origins: BTreeSet<i64>,
}

impl TouchedRows {
    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.versions.append(&mut other.versions);
        self.origins.append(&mut other.origins);
    }
}

/// Selects the images to which jobs are assigned.
#[derive(Clone, Copy)]
pub(super) enum ArrivedSelection {
    /// The images changed in this revision.
    Changed,
    /// The first images without an origin, at most `limit`.
    WithoutOrigin { limit: u32 },
}

impl ArrivedSelection {
    /// The condition that selects them.
    fn condition(self, revision: i64) -> String {
        match self {
            Self::Changed => format!("i.revision = {revision}"),
            Self::WithoutOrigin { limit } => format!(
                "i.id IN (SELECT id FROM images WHERE origin_id IS NULL AND job_version_id IS NOT NULL
                          ORDER BY id LIMIT {limit})"
            ),
        }
    }
}

impl Store {
    /// Creates the missing origins of images, as after an upgrade, in several transactions; returns the number of
    /// images.
    pub async fn origin_create_missing(&self, now: DateTime<Utc>) -> Result<usize> {
        /// Images per transaction.
        const STEP: u32 = 5_000;
        let mut all = 0;
        let missing = "SELECT id FROM images WHERE origin_id IS NULL AND job_version_id IS NOT NULL LIMIT 1";
        while sql(missing).optional::<(i64,)>(&self.db).await?.is_some() {
            let mut tx = self.db.write().await?;
            let outcome = complete(&mut tx, STEP, now, self.db.lock(RowLock::Wait)).await;
            match tx.end(outcome).await? {
                // Another process has done the rest.
                0 => break,
                count => all += count,
            }
        }
        Ok(all)
    }
}

async fn complete(tx: &mut WriteTransaction, limit: u32, now: DateTime<Utc>, lock: &str) -> Result<usize> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    let count = derive(tx, ArrivedSelection::WithoutOrigin { limit }, TouchedRows::default(), revision, now).await?;
    catalogue_set_revision(tx, revision).await.map(|()| count)
}

/// Assigns jobs to the images that `arrival` selects, and updates the latest versions of all jobs that they were added to
/// or that images `left`. Versions, origins and jobs without images are removed. Ids stay the same while a thing exists.
/// Images of other origins that begin or cease to represent their job get `revision` too. Returns the number of
/// selected images.
pub(super) async fn derive(
    tx: &mut WriteTransaction,
    arrival: ArrivedSelection,
    left: TouchedRows,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<usize> {
    let arrived: Vec<ArrivedImage> = sql(format!(
        "SELECT i.id, i.registry_id, i.repository, c.job_name, c.job_version, c.package_version
         FROM images i JOIN contents c ON c.digest = i.digest WHERE {} AND c.outcome = 'seed'",
        arrival.condition(revision)
    ))
    .all(&mut *tx)
    .await?;
    let jobs = insert_missing_jobs(tx, &arrived, now).await?;
    let versions = insert_missing_versions(tx, &jobs, &arrived, now).await?;
    let origins = origins::join(tx, &jobs, &arrived, now).await?;
    let mut touched = left;
    touched.versions.extend(versions.values());
    touched.origins.extend(origins.values());
    let came = arrived.iter().map(|image| {
        let job = jobs[&image.job_name];
        let version = versions[&(job, &image.job_version)];
        let origin = origins[&(job, image.registry_id, image.namespace())];
        [image.id.into(), version.into(), origin.into(), (&image.package_version).into()]
    });
    bulk(
        "WITH came (id, job_version_id, origin_id, package_version) AS (",
        came,
        ") UPDATE images SET job_version_id = came.job_version_id, origin_id = came.origin_id,
             package_version = came.package_version
         FROM came WHERE images.id = came.id",
    )
    .execute(&mut *tx)
    .await?;
    remove_empty_versions(tx, &touched.versions, now).await?;
    let latest =
        origins::latest_of(&arrived, |image| origins[&(jobs[&image.job_name], image.registry_id, image.namespace())]);
    let jobs = origins::settle(tx, &touched.origins, latest, revision, now).await?;
    origins::update_representatives(tx, &jobs, revision, now).await?;
    Ok(arrived.len())
}

/// The versions and origins of images that are about to be removed or moved.
pub(super) async fn find_touched_rows(
    tx: &mut WriteTransaction,
    condition: &str,
    keys: Vec<[SqlValue<'_>; 1]>,
) -> Result<TouchedRows> {
    let select = format!(
        "SELECT DISTINCT job_version_id, origin_id FROM images WHERE job_version_id IS NOT NULL AND {condition} IN ("
    );
    let rows: Vec<(i64, i64)> = bulk(&select, keys, ")").all(tx).await?;
    let (versions, origins) = rows.into_iter().unzip();
    Ok(TouchedRows { versions, origins })
}

/// Inserts missing jobs; returns the ids of all jobs that images were added to, by name. Empty columns are filled
/// later.
async fn insert_missing_jobs(
    tx: &mut WriteTransaction,
    arrived: &[ArrivedImage],
    now: DateTime<Utc>,
) -> Result<BTreeMap<String, i64>> {
    let names: BTreeSet<&String> = arrived.iter().map(|arrived| &arrived.job_name).collect();
    let revived = tombstones::revive_jobs(tx, names.iter().copied(), now).await?;
    bulk(
        "INSERT INTO jobs (id, name, latest_job_version, latest_package_version, title, maintainer, email, maint_org,
             description)",
        revived.iter().map(|(name, job)| -> [SqlValue<'_>; 9] {
            let empty = || "".into();
            [job.id.into(), name.into(), empty(), empty(), empty(), empty(), empty(), empty(), empty()]
        }),
        "ON CONFLICT (name) DO NOTHING",
    )
    .execute(&mut *tx)
    .await?;
    let rows = names.iter().map(|name| -> [SqlValue<'_>; 8] {
        let empty = || "".into();
        [(*name).into(), empty(), empty(), empty(), empty(), empty(), empty(), empty()]
    });
    let jobs: Vec<(String, i64)> = bulk(
        "INSERT INTO jobs (name, latest_job_version, latest_package_version, title, maintainer, email, maint_org,
             description)",
        rows,
        "ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING name, id",
    )
    .all(tx)
    .await?;
    Ok(jobs.into_iter().collect())
}

/// Inserts missing versions; returns the ids of all that images were added to, by job and version.
async fn insert_missing_versions<'a>(
    tx: &mut WriteTransaction,
    jobs: &BTreeMap<String, i64>,
    arrived: &'a [ArrivedImage],
    now: DateTime<Utc>,
) -> Result<HashMap<(i64, &'a String), i64>> {
    let pairs: BTreeSet<(i64, &String)> =
        arrived.iter().map(|arrived| (jobs[&arrived.job_name], &arrived.job_version)).collect();
    let revived = tombstones::revive_versions(tx, pairs.iter().copied(), now).await?;
    bulk(
        "INSERT INTO job_versions (id, job_id, job_version)",
        revived.iter().map(|((job, version), back)| [back.id.into(), (*job).into(), (*version).into()]),
        "ON CONFLICT (job_id, job_version) DO NOTHING",
    )
    .execute(&mut *tx)
    .await?;
    let versions: Vec<(i64, i64, String)> = bulk(
        "INSERT INTO job_versions (job_id, job_version)",
        pairs.iter().map(|(job, version)| [(*job).into(), (*version).into()]),
        "ON CONFLICT (job_id, job_version) DO UPDATE SET job_version = excluded.job_version
             RETURNING id, job_id, job_version",
    )
    .all(tx)
    .await?;
    let ids: HashMap<(i64, &str), i64> =
        versions.iter().map(|(id, job, version)| ((*job, version.as_str()), *id)).collect();
    Ok(pairs.into_iter().map(|(job, version)| ((job, version), ids[&(job, version.as_str())])).collect())
}

/// Removes those of the versions that have no images any more.
async fn remove_empty_versions(tx: &mut WriteTransaction, versions: &BTreeSet<i64>, now: DateTime<Utc>) -> Result<()> {
    let empty: Vec<(i64,)> = bulk(
        "SELECT v.id FROM job_versions v WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.job_version_id = v.id)
             AND v.id IN (",
        versions.iter().map(|id| [(*id).into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    tombstones::tombstone_versions(tx, empty.iter().map(|(id,)| (*id).into()), now).await?;
    bulk("DELETE FROM job_versions WHERE id IN (", empty.iter().map(|(id,)| [(*id).into()]), ")")
        .execute(tx)
        .await
        .map(drop)
}

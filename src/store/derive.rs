//! The jobs that follow from images, kept up as images come, move and go: what a change costs does not depend on how many
//! images its jobs have. What comes out is what [`crate::catalog::derive_jobs`] makes of all images; a test holds one against
//! the other.
//!
//! An image that has arrived carries the revision of its change and no job version. Images that left are known by the
//! versions and origins that they left (`origins.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::Result;
use super::db::{Tx, bulk, sql};
use super::origins;
use super::tombstones;
use super::value::{Value, row};
use crate::catalog::{ImageId, RegistryId, split_repository};

/// The versions and origins that images come to or leave, by id.
#[derive(Default)]
pub(super) struct TouchedRows {
    pub versions: BTreeSet<i64>,
    pub origins: BTreeSet<i64>,
}

impl TouchedRows {
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    pub fn append(&mut self, mut other: Self) {
        self.versions.append(&mut other.versions);
        self.origins.append(&mut other.origins);
    }
}

/// Which images have arrived.
#[derive(Clone, Copy)]
pub(super) enum ArrivedSelection {
    /// Those that changed with the revision.
    Changed,
    /// The first of those that have no origin yet.
    WithoutOrigin { limit: u32 },
}

impl ArrivedSelection {
    /// What selects them.
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

/// An image as its manifest says.
pub(super) struct ArrivedImage {
    pub id: ImageId,
    pub registry_id: RegistryId,
    repository: String,
    pub job_name: String,
    pub job_version: String,
    pub package_version: String,
}
row!(ArrivedImage { id, registry_id, repository, job_name, job_version, package_version });

impl ArrivedImage {
    pub fn namespace(&self) -> &str {
        split_repository(&self.repository).0
    }
}

/// Gives jobs to the images that have arrived with `revision`, and makes what is latest of all jobs that they came to, or that
/// others have `left`. What no image has any more goes. Ids stay while things exist. Images of other origins that come to
/// represent their job, or do not any more, get the revision too. How many have arrived.
pub(super) async fn derive(
    tx: &mut Tx,
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
    let jobs = join_jobs(tx, &arrived, now).await?;
    let versions = join_versions(tx, &jobs, &arrived, now).await?;
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
    origins::represent(tx, &jobs, revision, now).await?;
    Ok(arrived.len())
}

/// What images are about to leave.
pub(super) async fn left_by(tx: &mut Tx, condition: &str, keys: Vec<[Value<'_>; 1]>) -> Result<TouchedRows> {
    let select = format!(
        "SELECT DISTINCT job_version_id, origin_id FROM images WHERE job_version_id IS NOT NULL AND {condition} IN ("
    );
    let rows: Vec<(i64, i64)> = bulk(&select, keys, ")").all(tx).await?;
    let (versions, origins) = rows.into_iter().unzip();
    Ok(TouchedRows { versions, origins })
}

/// Makes the jobs that are missing; the ids of all that images came to, by name. What is empty here is made in the end.
async fn join_jobs(tx: &mut Tx, arrived: &[ArrivedImage], now: DateTime<Utc>) -> Result<BTreeMap<String, i64>> {
    let names: BTreeSet<&String> = arrived.iter().map(|arrived| &arrived.job_name).collect();
    let revived = tombstones::jobs_come(tx, names.iter().copied(), now).await?;
    bulk(
        "INSERT INTO jobs (id, name, latest_job_version, latest_package_version, title, maintainer, email, maint_org,
             description)",
        revived.iter().map(|(name, job)| -> [Value<'_>; 9] {
            let empty = || "".into();
            [job.id.into(), name.into(), empty(), empty(), empty(), empty(), empty(), empty(), empty()]
        }),
        "ON CONFLICT (name) DO NOTHING",
    )
    .execute(&mut *tx)
    .await?;
    let rows = names.iter().map(|name| -> [Value<'_>; 8] {
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

/// Makes the versions that are missing; the ids of all that images came to, by job and version.
async fn join_versions<'a>(
    tx: &mut Tx,
    jobs: &BTreeMap<String, i64>,
    arrived: &'a [ArrivedImage],
    now: DateTime<Utc>,
) -> Result<HashMap<(i64, &'a String), i64>> {
    let pairs: BTreeSet<(i64, &String)> =
        arrived.iter().map(|arrived| (jobs[&arrived.job_name], &arrived.job_version)).collect();
    let revived = tombstones::versions_come(tx, pairs.iter().copied(), now).await?;
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

/// Removes those of the versions that no image has any more.
async fn remove_empty_versions(tx: &mut Tx, versions: &BTreeSet<i64>, now: DateTime<Utc>) -> Result<()> {
    let empty: Vec<(i64,)> = bulk(
        "SELECT v.id FROM job_versions v WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.job_version_id = v.id)
             AND v.id IN (",
        versions.iter().map(|id| [(*id).into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    tombstones::versions_go(tx, empty.iter().map(|(id,)| (*id).into()), now).await?;
    bulk("DELETE FROM job_versions WHERE id IN (", empty.iter().map(|(id,)| [(*id).into()]), ")")
        .execute(tx)
        .await
        .map(drop)
}

//! The jobs that follow from images, kept up as images come, move and go: what a change costs does not depend on how many
//! images its jobs have. What comes out is what [`crate::catalog::derive_jobs`] makes of all images; a test holds one against
//! the other.
//!
//! An image that has arrived carries the revision of its change and no job version. Images that left are known by the
//! versions and origins that they left (`origins.rs`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Result;
use super::db::{Tx, bulk, sql};
use super::origins::{self, ArrivedImages, NAMESPACE};
use super::tombstones;
use super::value::Value;

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
pub(super) enum Arrival {
    /// Those that changed with the revision.
    Changed,
    /// All that have no origin yet.
    WithoutOrigin,
}

impl Arrival {
    /// The condition on the images `table`.
    fn condition(self, table: &str, revision: i64) -> String {
        match self {
            Self::Changed => format!("{table}.revision = {revision}"),
            Self::WithoutOrigin => format!("{table}.origin_id IS NULL"),
        }
    }
}

/// Gives jobs to the images that have arrived with `revision`, and makes what is latest of all jobs that they came to, or that
/// others have `left`. What no image has any more goes. Ids stay while things exist. Images of other origins that come to
/// represent their job, or do not any more, get the revision too.
pub(super) async fn derive(
    tx: &mut Tx,
    arrival: Arrival,
    left: TouchedRows,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    let arrived: Vec<ArrivedImages> = sql(format!(
        "SELECT c.job_name, c.job_version, c.package_version, i.registry_id, {NAMESPACE} AS namespace, MIN(i.id) AS image_id
         FROM images i JOIN contents c ON c.digest = i.digest
         WHERE {} AND c.outcome = 'seed' GROUP BY 1, 2, 3, 4, 5",
        arrival.condition("i", revision)
    ))
    .all(&mut *tx)
    .await?;
    let jobs = join_jobs(tx, &arrived, now).await?;
    let mut touched = left;
    touched.versions.extend(join_versions(tx, &jobs, &arrived, now).await?);
    let latest = origins::join(tx, &jobs, &arrived, now).await?;
    touched.origins.extend(latest.keys());
    sql(format!(
        "UPDATE images SET job_version_id = v.id, package_version = c.package_version, origin_id = o.id
         FROM contents c JOIN jobs j ON j.name = c.job_name
         JOIN job_versions v ON v.job_id = j.id AND v.job_version = c.job_version
         JOIN job_origins o ON o.job_id = j.id
         WHERE {} AND c.digest = images.digest AND c.outcome = 'seed'
             AND o.registry_id = images.registry_id AND o.namespace = {}",
        arrival.condition("images", revision),
        NAMESPACE.replace("i.repository", "images.repository")
    ))
    .execute(&mut *tx)
    .await?;
    remove_empty_versions(tx, &touched.versions, now).await?;
    let jobs = origins::settle(tx, &touched.origins, latest, revision, now).await?;
    origins::represent(tx, &jobs, revision, now).await
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
async fn join_jobs(tx: &mut Tx, arrived: &[ArrivedImages], now: DateTime<Utc>) -> Result<BTreeMap<String, i64>> {
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

/// Makes the versions that are missing; the ids of all that images came to.
async fn join_versions(
    tx: &mut Tx,
    jobs: &BTreeMap<String, i64>,
    arrived: &[ArrivedImages],
    now: DateTime<Utc>,
) -> Result<Vec<i64>> {
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
    let versions: Vec<(i64,)> = bulk(
        "INSERT INTO job_versions (job_id, job_version)",
        pairs.iter().map(|(job, version)| [(*job).into(), (*version).into()]),
        "ON CONFLICT (job_id, job_version) DO UPDATE SET job_version = excluded.job_version RETURNING id",
    )
    .all(tx)
    .await?;
    Ok(versions.into_iter().map(|(id,)| id).collect())
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

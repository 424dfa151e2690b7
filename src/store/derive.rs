//! The jobs that follow from images, kept up as images come, move and go: what a change costs does not depend on how many
//! images its jobs have. What comes out is what [`crate::catalog::derive_jobs`] makes of all images; a test holds one against
//! the other.
//!
//! An image that has arrived carries the revision of its change and no job version. Images that left are known by the
//! versions that they left.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Result;
use super::db::{Tx, bulk, sql};
use super::tombstones;
use super::value::{Value, row};
use crate::catalog::{JobId, JobVersionId};
use crate::seed::version;

/// The versions that an image has by its manifest.
struct Arrived {
    job_name: String,
    job_version: String,
    package_version: String,
}
row!(Arrived { job_name, job_version, package_version });

/// A version of a job, as the tables have it.
struct Version {
    id: JobVersionId,
    job_id: JobId,
    job_name: String,
    job_version: String,
    latest_package_version: String,
    /// Whether an image has the latest package version.
    is_current: bool,
}
row!(Version { id, job_id, job_name, job_version, latest_package_version, is_current });

/// Selects [`Version`]s.
const VERSIONS: &str = "SELECT v.id, v.job_id, j.name AS job_name, v.job_version, v.latest_package_version,
        EXISTS (SELECT 1 FROM images i WHERE i.job_version_id = v.id AND i.package_version = v.latest_package_version)
            AS is_current
    FROM job_versions v JOIN jobs j ON j.id = v.job_id";

/// Gives jobs to the images that have arrived with `revision`, and makes what is latest of all jobs and versions that they came
/// to, or that others have `left`. What no image has any more goes. Ids stay while things exist.
pub(super) async fn derive(tx: &mut Tx, left: &BTreeSet<i64>, revision: i64, now: DateTime<Utc>) -> Result<()> {
    let arrived: Vec<Arrived> = sql("SELECT DISTINCT c.job_name, c.job_version, c.package_version
         FROM images i JOIN contents c ON c.digest = i.digest WHERE i.revision = $1 AND c.outcome = 'seed'")
    .bind(revision)
    .all(&mut *tx)
    .await?;
    let joined = join(tx, &arrived, revision, now).await?;
    let touched: BTreeSet<i64> = joined.iter().chain(left).copied().collect();
    let versions: Vec<Version> =
        bulk(&format!("{VERSIONS} WHERE v.id IN ("), touched.iter().map(|id| [(*id).into()]), ")")
            .all(&mut *tx)
            .await?;
    let vanished = set_latest_packages(tx, &versions, &arrived, now).await?;
    let jobs: BTreeSet<i64> = versions.iter().map(|version| version.job_id.0).collect();
    set_latest_versions(tx, &jobs, &versions, &vanished, now).await
}

/// Versions that images of a registry's changes are about to leave.
pub(super) async fn versions_of(tx: &mut Tx, condition: &str, keys: Vec<[Value<'_>; 1]>) -> Result<BTreeSet<i64>> {
    let select =
        format!("SELECT DISTINCT job_version_id FROM images WHERE job_version_id IS NOT NULL AND {condition} IN (");
    let rows: Vec<(i64,)> = bulk(&select, keys, ")").all(tx).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Makes the jobs and versions that are missing, and gives them to the images; the versions that now have more images.
async fn join(tx: &mut Tx, arrived: &[Arrived], revision: i64, now: DateTime<Utc>) -> Result<Vec<i64>> {
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
    // What is empty here is made in the end.
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
    .all(&mut *tx)
    .await?;
    let jobs: BTreeMap<String, i64> = jobs.into_iter().collect();
    let pairs: BTreeSet<(i64, &String)> =
        arrived.iter().map(|arrived| (jobs[&arrived.job_name], &arrived.job_version)).collect();
    let revived = tombstones::versions_come(tx, pairs.iter().copied(), now).await?;
    bulk(
        "INSERT INTO job_versions (id, job_id, job_version, latest_package_version)",
        revived.iter().map(|((job, version), back)| [back.id.into(), (*job).into(), (*version).into(), "".into()]),
        "ON CONFLICT (job_id, job_version) DO NOTHING",
    )
    .execute(&mut *tx)
    .await?;
    let versions: Vec<(i64,)> = bulk(
        "INSERT INTO job_versions (job_id, job_version, latest_package_version)",
        pairs.iter().map(|(job, version)| [(*job).into(), (*version).into(), "".into()]),
        "ON CONFLICT (job_id, job_version) DO UPDATE SET job_version = excluded.job_version RETURNING id",
    )
    .all(&mut *tx)
    .await?;
    sql("UPDATE images SET job_version_id = v.id, package_version = c.package_version
         FROM contents c JOIN jobs j ON j.name = c.job_name
         JOIN job_versions v ON v.job_id = j.id AND v.job_version = c.job_version
         WHERE images.revision = $1 AND c.digest = images.digest AND c.outcome = 'seed'")
    .bind(revision)
    .execute(tx)
    .await?;
    Ok(versions.into_iter().map(|(id,)| id).collect())
}

/// Finds out what package version is the latest of each; the versions that no image has any more, which are removed.
async fn set_latest_packages(
    tx: &mut Tx,
    versions: &[Version],
    arrived: &[Arrived],
    now: DateTime<Utc>,
) -> Result<BTreeSet<i64>> {
    let mut latest: BTreeMap<i64, String> = BTreeMap::new();
    let mut propose = |id: i64, package: &str| {
        let known = latest.entry(id).or_insert_with(|| package.to_owned());
        if version::compare(known, package).is_lt() {
            package.clone_into(known);
        }
    };
    let ids: BTreeMap<(&str, &str), i64> =
        versions.iter().map(|found| ((found.job_name.as_str(), found.job_version.as_str()), found.id.0)).collect();
    for arrived in arrived {
        if let Some(id) = ids.get(&(arrived.job_name.as_str(), arrived.job_version.as_str())) {
            propose(*id, &arrived.package_version);
        }
    }
    versions.iter().filter(|version| version.is_current).for_each(|it| propose(it.id.0, &it.latest_package_version));
    // The latest one has left: which is it now? The index has them all.
    let lost = versions.iter().filter(|version| !version.is_current && !version.latest_package_version.is_empty());
    let rows: Vec<(i64, String)> = bulk(
        "SELECT DISTINCT job_version_id, package_version FROM images WHERE job_version_id IN (",
        lost.map(|version| [version.id.into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    rows.iter().for_each(|(id, package)| propose(*id, package));
    let changed = versions.iter().filter_map(|version| {
        let package = latest.get(&version.id.0).filter(|package| **package != version.latest_package_version)?;
        Some([version.id.into(), package.into()])
    });
    bulk(
        "WITH found (id, package_version) AS (",
        changed,
        ") UPDATE job_versions SET latest_package_version = found.package_version FROM found
         WHERE job_versions.id = found.id",
    )
    .execute(&mut *tx)
    .await?;
    let vanished: BTreeSet<i64> =
        versions.iter().map(|version| version.id.0).filter(|id| !latest.contains_key(id)).collect();
    tombstones::versions_go(tx, vanished.iter().map(|id| (*id).into()), now).await?;
    bulk("DELETE FROM job_versions WHERE id IN (", vanished.iter().map(|id| [(*id).into()]), ")").execute(tx).await?;
    Ok(vanished)
}

/// Gives jobs the texts of their latest image, and removes those without any.
async fn set_latest_versions(
    tx: &mut Tx,
    jobs: &BTreeSet<i64>,
    touched: &[Version],
    vanished: &BTreeSet<i64>,
    now: DateTime<Utc>,
) -> Result<()> {
    let known: Vec<(i64, String)> =
        bulk("SELECT id, latest_job_version FROM jobs WHERE id IN (", jobs.iter().map(|id| [(*id).into()]), ")")
            .all(&mut *tx)
            .await?;
    let mut latest: BTreeMap<i64, String> = known.into_iter().collect();
    let mut lost = BTreeSet::new();
    for version in touched {
        let Some(best) = latest.get_mut(&version.job_id.0) else { continue };
        if !vanished.contains(&version.id.0) {
            if version::compare(best, &version.job_version).is_lt() {
                version.job_version.clone_into(best);
            }
        } else if *best == version.job_version {
            lost.insert(version.job_id.0);
        }
    }
    latest.retain(|job, _| !lost.contains(job));
    let rows: Vec<(i64, String)> = bulk(
        "SELECT job_id, job_version FROM job_versions WHERE job_id IN (",
        lost.iter().map(|id| [(*id).into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    for (job, found) in rows {
        let best = latest.entry(job).or_insert_with(|| found.clone());
        if version::compare(best, &found).is_lt() {
            *best = found;
        }
    }
    bulk(
        "WITH latest (job_id, job_version) AS (",
        latest.iter().map(|(job, version)| [(*job).into(), version.into()]),
        ") UPDATE jobs SET latest_job_version = v.job_version, latest_package_version = v.latest_package_version,
             title = c.title, maintainer = c.maintainer, email = c.email, maint_org = c.maint_org,
             description = c.description
         FROM latest JOIN job_versions v ON v.job_id = latest.job_id AND v.job_version = latest.job_version
         JOIN images i ON i.id = (SELECT MIN(f.id) FROM images f
                                  WHERE f.job_version_id = v.id AND f.package_version = v.latest_package_version)
         JOIN contents c ON c.digest = i.digest
         WHERE jobs.id = latest.job_id",
    )
    .execute(&mut *tx)
    .await?;
    let empty = || jobs.iter().filter(|job| !latest.contains_key(job));
    tombstones::jobs_go(tx, empty().map(|job| (*job).into()), now).await?;
    bulk("DELETE FROM jobs WHERE id IN (", empty().map(|job| [(*job).into()]), ")").execute(tx).await.map(drop)
}

//! Ids of removed rows: an image, job, job version or origin that comes back within 30 days gets its former id, so that
//! links and notes of clients remain valid. An image is identified by the host of its registry (on disk, the address)
//! and its name, so that it is the same after its registry was deleted and added again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::columns::{SqlValue, row};
use super::db::{WriteTransaction, bulk, sql};
use super::{Result, Store};
use crate::catalog::RegistryId;

/// How long ids are kept.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Head of a statement that inserts tombstones.
const INSERT: &str = "INSERT INTO tombstones (kind, id, name, registry_id, since, removed_at)";

/// The registries with the places that identify them.
macro_rules! places {
    () => {
        "(SELECT id, CASE WHEN host = '' THEN url ELSE host END AS place FROM registries)"
    };
}

/// Selects the catalogued images `i`; ids of other images are not visible to clients.
const OF_IMAGES: &str = "'image', i.id, r.place || '/' || i.repository || ':' || i.tag, i.registry_id, i.first_seen_at";
const IMAGES: &str = concat!(
    "FROM images i JOIN ",
    places!(),
    " r ON r.id = i.registry_id JOIN contents c ON c.digest = i.digest WHERE c.outcome = 'seed'"
);

struct TombstoneRow {
    id: i64,
    name: String,
    registry_id: i64,
    since: DateTime<Utc>,
    removed_at: DateTime<Utc>,
}
row!(TombstoneRow { id, name, registry_id, since, removed_at });

/// The former id of a row, and since when it existed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RevivedIds {
    pub id: i64,
    pub since: DateTime<Utc>,
}

impl Store {
    /// Deletes ids that were kept long enough; returns their number.
    pub async fn tombstone_prune(&self, now: DateTime<Utc>) -> Result<u64> {
        sql("DELETE FROM tombstones WHERE removed_at < $1").bind(now - KEPT).execute(&self.db).await
    }
}

/// Keeps the ids of images. Call it before they are deleted.
pub(super) async fn tombstone_images(
    tx: &mut WriteTransaction,
    ids: impl Iterator<Item = SqlValue<'_>>,
    now: DateTime<Utc>,
) -> Result<()> {
    let at = now.timestamp_millis();
    bulk(&format!("{INSERT} SELECT {OF_IMAGES}, {at} {IMAGES} AND i.id IN ("), ids.map(|id| [id]), ")")
        .execute(tx)
        .await
        .map(drop)
}

/// Keeps the ids of all images of a registry. Call it before the registry is deleted.
pub(super) async fn registry_goes(tx: &mut WriteTransaction, registry: RegistryId, now: DateTime<Utc>) -> Result<()> {
    sql(format!("{INSERT} SELECT {OF_IMAGES}, $1 {IMAGES} AND i.registry_id = $2"))
        .bind(now)
        .bind(registry)
        .execute(tx)
        .await
        .map(drop)
}

/// Keeps the ids of job versions. Call it before they are deleted.
pub(super) async fn tombstone_versions(
    tx: &mut WriteTransaction,
    ids: impl Iterator<Item = SqlValue<'_>>,
    now: DateTime<Utc>,
) -> Result<()> {
    let at = now.timestamp_millis();
    let select = "SELECT 'job-version', v.id, CAST(v.job_id AS TEXT) || ':' || v.job_version, 0";
    bulk(&format!("{INSERT} {select}, {at}, {at} FROM job_versions v WHERE v.id IN ("), ids.map(|id| [id]), ")")
        .execute(tx)
        .await
        .map(drop)
}

/// Keeps the ids of jobs. Call it before they are deleted.
pub(super) async fn tombstone_jobs(
    tx: &mut WriteTransaction,
    ids: impl Iterator<Item = SqlValue<'_>>,
    now: DateTime<Utc>,
) -> Result<()> {
    let at = now.timestamp_millis();
    let select = format!("{INSERT} SELECT 'job', j.id, j.name, 0, {at}, {at} FROM jobs j WHERE j.id IN (");
    bulk(&select, ids.map(|id| [id]), ")").execute(tx).await.map(drop)
}

/// Keeps the ids of jobs' origins. Call it before they or their registries are deleted.
pub(super) async fn tombstone_origins(
    tx: &mut WriteTransaction,
    ids: impl Iterator<Item = SqlValue<'_>>,
    now: DateTime<Utc>,
) -> Result<()> {
    let at = now.timestamp_millis();
    let select = format!(
        "{INSERT} SELECT 'job-origin', o.id, CAST(o.job_id AS TEXT) || ':' || r.place || '/' || o.namespace,
             o.registry_id, {at}, {at}
         FROM job_origins o JOIN {} r ON r.id = o.registry_id WHERE o.id IN (",
        places!()
    );
    bulk(&select, ids.map(|id| [id]), ")").execute(tx).await.map(drop)
}

/// Takes the former ids of images of a registry, by repository and tag. Each id is returned once.
pub(super) async fn revive_images<'a>(
    tx: &mut WriteTransaction,
    registry: RegistryId,
    images: impl Iterator<Item = (&'a str, &'a str)>,
    now: DateTime<Utc>,
) -> Result<HashMap<(&'a str, &'a str), RevivedIds>> {
    let Some(place) = places_of(tx, [registry]).await?.remove(&registry.0) else { return Ok(HashMap::new()) };
    let names: BTreeMap<String, (&str, &str)> =
        images.map(|(repository, tag)| (format!("{place}/{repository}:{tag}"), (repository, tag))).collect();
    let revived = revive_ids(tx, "image", names.keys(), registry, now).await?;
    Ok(revived.into_iter().filter_map(|(name, revived)| Some((*names.get(&name)?, revived))).collect())
}

/// Takes the former ids of jobs, by name. Each id is returned once.
pub(super) async fn revive_jobs(
    tx: &mut WriteTransaction,
    names: impl Iterator<Item = &String>,
    now: DateTime<Utc>,
) -> Result<HashMap<String, RevivedIds>> {
    revive_ids(tx, "job", names, RegistryId(0), now).await
}

/// Takes the former ids of job versions, by the job's id and the version. Each id is returned once.
pub(super) async fn revive_versions<'a>(
    tx: &mut WriteTransaction,
    versions: impl Iterator<Item = (i64, &'a String)>,
    now: DateTime<Utc>,
) -> Result<HashMap<(i64, &'a String), RevivedIds>> {
    let names: BTreeMap<String, (i64, &String)> =
        versions.map(|(job, version)| (format!("{job}:{version}"), (job, version))).collect();
    let revived = revive_ids(tx, "job-version", names.keys(), RegistryId(0), now).await?;
    Ok(revived.into_iter().filter_map(|(name, revived)| Some((*names.get(&name)?, revived))).collect())
}

/// Takes the former ids of jobs' origins, by job, registry and namespace. Each id is returned once.
pub(super) async fn revive_origins<'a>(
    tx: &mut WriteTransaction,
    origins: &[(i64, RegistryId, &'a str)],
    now: DateTime<Utc>,
) -> Result<HashMap<(i64, RegistryId, &'a str), RevivedIds>> {
    let places = places_of(tx, origins.iter().map(|(_, registry, _)| *registry)).await?;
    let name = |(job, registry, namespace): &(i64, RegistryId, &str)| {
        Some(format!("{job}:{}/{namespace}", places.get(&registry.0)?))
    };
    // Two registries at one place have the same name; one of them gets the id.
    let names: BTreeMap<String, (i64, RegistryId, &str)> =
        origins.iter().filter_map(|origin| Some((name(origin)?, *origin))).collect();
    let revived = revive_ids(tx, "job-origin", names.keys(), RegistryId(0), now).await?;
    Ok(revived.into_iter().filter_map(|(name, revived)| Some((*names.get(&name)?, revived))).collect())
}

/// The places of registries, by id.
async fn places_of(
    tx: &mut WriteTransaction,
    registries: impl IntoIterator<Item = RegistryId>,
) -> Result<HashMap<i64, String>> {
    let ids: BTreeSet<RegistryId> = registries.into_iter().collect();
    let select = concat!("SELECT r.id, r.place FROM ", places!(), " r WHERE r.id IN (");
    let rows: Vec<(i64, String)> = bulk(select, ids.into_iter().map(|id| [id.into()]), ")").all(tx).await?;
    Ok(rows.into_iter().collect())
}

/// Takes the tombstones of these names, one for each: preferably one of the same registry, else the latest.
async fn revive_ids(
    tx: &mut WriteTransaction,
    kind: &str,
    names: impl Iterator<Item = &String>,
    registry: RegistryId,
    now: DateTime<Utc>,
) -> Result<HashMap<String, RevivedIds>> {
    let oldest = (now - KEPT).timestamp_millis();
    let graves: Vec<TombstoneRow> = bulk(
        &format!(
            "SELECT id, name, registry_id, since, removed_at FROM tombstones
             WHERE kind = '{kind}' AND removed_at >= {oldest} AND name IN ("
        ),
        names.map(|name| [name.into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    let mut best: HashMap<String, TombstoneRow> = HashMap::new();
    let rank = |grave: &TombstoneRow| (grave.registry_id == registry.0, grave.removed_at, grave.id);
    for grave in graves {
        match best.get(&grave.name) {
            Some(known) if rank(known) >= rank(&grave) => {}
            _ => _ = best.insert(grave.name.clone(), grave),
        }
    }
    let taken = best.values().map(|grave| [grave.id.into()]);
    bulk(&format!("DELETE FROM tombstones WHERE kind = '{kind}' AND id IN ("), taken, ")").execute(tx).await?;
    Ok(best.into_iter().map(|(name, TombstoneRow { id, since, .. })| (name, RevivedIds { id, since })).collect())
}

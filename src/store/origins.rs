//! Maintains the origins of each job's images, and which of them represent the job. Written when images change
//! (`derive.rs`) and when an admin changes the verified marks; [`place_origins`] decides.
//!
//! The cost of a change depends only on the images of the origins that it affects, and on the number of origins of
//! their jobs.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::catalogue_row::{catalogue_lock, catalogue_set_revision};
use super::columns::{SqlValue, json, row};
use super::db::{RowLock, WriteTransaction, bulk, sql};
use super::tombstones;
use super::{Result, Store};
use crate::catalog::{
    ImageId, KnownOrigin, MaintainerContact, OriginId, OriginPlace, RegistryId, RegistryVisibility, VerifiedMarks,
    maintainer_key, place_origins, split_repository,
};
use crate::seed::version;

/// An image with the fields of its manifest that decide its job.
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
    pub(super) fn namespace(&self) -> &str {
        split_repository(&self.repository).0
    }
}

/// An image that may be the latest of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LatestImage {
    job_version: String,
    package_version: String,
    image_id: ImageId,
}

impl LatestImage {
    /// Orders images so that the latest is the greatest: by versions; among equals, the lowest id.
    fn compare(&self, other: &Self) -> Ordering {
        version::compare(&self.job_version, &other.job_version)
            .then_with(|| version::compare(&self.package_version, &other.package_version))
            .then(other.image_id.cmp(&self.image_id))
    }
}

/// The latest known image of each origin.
pub(super) type LatestImages = BTreeMap<i64, LatestImage>;

fn propose_latest(latest: &mut LatestImages, origin: i64, image: LatestImage) {
    match latest.get_mut(&origin) {
        Some(known) if known.compare(&image).is_ge() => {}
        Some(known) => *known = image,
        None => _ = latest.insert(origin, image),
    }
}

/// An origin that images were added to or removed from.
struct TouchedOrigin {
    id: i64,
    job_id: i64,
    latest_job_version: String,
    latest_package_version: String,
    image_id: ImageId,
    /// Whether the latest image is still there, unchanged.
    is_current: bool,
}
row!(TouchedOrigin { id, job_id, latest_job_version, latest_package_version, image_id, is_current });

impl TouchedOrigin {
    fn latest(&self) -> LatestImage {
        LatestImage {
            job_version: self.latest_job_version.clone(),
            package_version: self.latest_package_version.clone(),
            image_id: self.image_id,
        }
    }
}

struct ImageOfOrigin {
    origin_id: i64,
    job_version: String,
    package_version: String,
    image_id: ImageId,
}
row!(ImageOfOrigin { origin_id, job_version, package_version, image_id });

row!(MaintainerContact { name = "maintainer", email, organization = "maint_org" });

struct MaintainerRow {
    image_id: ImageId,
    registry_id: RegistryId,
    visibility: RegistryVisibility,
    maintainer: MaintainerContact,
}
row!(MaintainerRow { image_id, registry_id, visibility } + { maintainer });

impl MaintainerRow {
    fn key(&self, origin: OriginId) -> String {
        let closed = (self.visibility != RegistryVisibility::Public).then_some(self.registry_id);
        maintainer_key(&self.maintainer, origin, closed)
    }
}

row!(KnownOrigin {
    id,
    is_verified,
    maintainer_key,
    job_version = "latest_job_version",
    package_version = "latest_package_version",
    image_id,
});
row!(OriginPlace { group_id, leads, represents });

/// An origin with the fields that decide which one represents the job, and the previous decision.
struct PlacedOrigin {
    job_id: i64,
    origin: KnownOrigin,
    place: OriginPlace,
}
row!(PlacedOrigin { job_id } + { origin, place });

row!(VerifiedMarks { registry = "is_verified", namespaces = "verified_namespaces" });

struct MarksRow {
    id: RegistryId,
    marks: VerifiedMarks,
}
row!(MarksRow { id } + { marks });

/// Tail of an insert of rows that may exist, so that `RETURNING` returns these too.
const KNOWN_OR_NEW: &str = "ON CONFLICT (job_id, registry_id, namespace) DO UPDATE SET namespace = excluded.namespace";

impl Store {
    /// Replaces the verified marks of a registry and its namespaces; jobs are updated in the same transaction. `false`:
    /// the marks are no longer `old`.
    pub async fn registry_verify(
        &self,
        id: RegistryId,
        old: &VerifiedMarks,
        marks: &VerifiedMarks,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let outcome = verify(&mut tx, id, old, marks, now, self.db.lock(RowLock::Wait)).await;
        tx.end(outcome).await
    }
}

async fn verify(
    tx: &mut WriteTransaction,
    id: RegistryId,
    old: &VerifiedMarks,
    marks: &VerifiedMarks,
    now: DateTime<Utc>,
    lock: &str,
) -> Result<bool> {
    let revision = catalogue_lock(tx, lock).await? + 1;
    let found = sql("UPDATE registries SET is_verified = $1, verified_namespaces = $2
         WHERE id = $3 AND is_verified = $4 AND verified_namespaces = $5")
    .bind(marks.registry)
    .bind(json(&marks.namespaces))
    .bind(id)
    .bind(old.registry)
    .bind(json(&old.namespaces))
    .execute(&mut *tx)
    .await?;
    if found == 0 {
        return Ok(false);
    }
    let rows: Vec<(i64, i64, String, bool)> =
        sql("SELECT id, job_id, namespace, is_verified FROM job_origins WHERE registry_id = $1")
            .bind(id)
            .all(&mut *tx)
            .await?;
    let other: Vec<(i64, i64, bool)> = rows
        .into_iter()
        .map(|(id, job, namespace, was)| (id, job, marks.cover(&namespace), was))
        .filter(|(_, _, is, was)| is != was)
        .map(|(id, job, is, _)| (id, job, is))
        .collect();
    if other.is_empty() {
        return Ok(true);
    }
    bulk(
        "WITH marked (id, is_verified) AS (",
        other.iter().map(|(id, _, is)| [(*id).into(), (*is).into()]),
        ") UPDATE job_origins SET is_verified = marked.is_verified FROM marked WHERE job_origins.id = marked.id",
    )
    .execute(&mut *tx)
    .await?;
    raise_revision(tx, other.iter().map(|(id, _, _)| *id), revision).await?;
    update_representatives(tx, &other.iter().map(|(_, job, _)| *job).collect(), revision, now).await?;
    catalogue_set_revision(tx, revision).await.map(|()| true)
}

/// Groups the origins of a registry anew, as its visibility says.
pub(super) async fn regroup(
    tx: &mut WriteTransaction,
    id: RegistryId,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    let rows: Vec<TouchedOrigin> = sql("SELECT id, job_id, latest_job_version, latest_package_version, image_id,
             image_id > 0 AS is_current
         FROM job_origins WHERE registry_id = $1")
    .bind(id)
    .all(&mut *tx)
    .await?;
    let latest: Vec<(i64, LatestImage)> = rows.iter().map(|row| (row.id, row.latest())).collect();
    set_latest(tx, &latest.iter().map(|(id, image)| (*id, image)).collect::<Vec<_>>()).await?;
    raise_revision(tx, rows.iter().map(|row| row.id), revision).await?;
    update_representatives(tx, &rows.iter().map(|row| row.job_id).collect(), revision, now).await
}

/// Gives the images of these origins a new revision, because the search index holds fields of the origin for each
/// image.
async fn raise_revision(tx: &mut WriteTransaction, origins: impl Iterator<Item = i64>, revision: i64) -> Result<()> {
    bulk(&format!("UPDATE images SET revision = {revision} WHERE origin_id IN ("), origins.map(|id| [id.into()]), ")")
        .execute(tx)
        .await
        .map(drop)
}

/// An origin by its job, registry and namespace.
type OriginName<'a> = (i64, RegistryId, &'a str);

/// Creates the missing origins, in the order of their images; returns the ids of all origins that images were added to.
pub(super) async fn join<'a>(
    tx: &mut WriteTransaction,
    jobs: &BTreeMap<String, i64>,
    arrived: &'a [ArrivedImage],
    now: DateTime<Utc>,
) -> Result<HashMap<OriginName<'a>, i64>> {
    let mut first: HashMap<OriginName<'a>, ImageId> = HashMap::new();
    for image in arrived {
        let name = (jobs[&image.job_name], image.registry_id, image.namespace());
        first.entry(name).and_modify(|id| *id = image.id.min(*id)).or_insert(image.id);
    }
    let mut names: Vec<OriginName<'a>> = first.keys().copied().collect();
    names.sort_by_key(|name| (first[name], *name));
    let marks = marks_of(tx, names.iter().map(|(_, registry, _)| *registry).collect()).await?;
    let row = |(job, registry, namespace): OriginName<'_>| -> [SqlValue<'static>; 4] {
        let is_verified = marks.get(&registry).is_some_and(|marks| marks.cover(namespace));
        [job.into(), registry.into(), namespace.to_owned().into(), is_verified.into()]
    };
    let revived = tombstones::revive_origins(tx, &names, now).await?;
    let back = revived.iter().map(|(name, back)| {
        let [job, registry, namespace, is_verified] = row(*name);
        [back.id.into(), job, registry, namespace, is_verified]
    });
    bulk("INSERT INTO job_origins (id, job_id, registry_id, namespace, is_verified)", back, KNOWN_OR_NEW)
        .execute(&mut *tx)
        .await?;
    let rows: Vec<(i64, i64, i64, String)> = bulk(
        "INSERT INTO job_origins (job_id, registry_id, namespace, is_verified)",
        names.iter().map(|name| row(*name)),
        &format!("{KNOWN_OR_NEW} RETURNING id, job_id, registry_id, namespace"),
    )
    .all(tx)
    .await?;
    let ids: HashMap<OriginName<'_>, i64> = rows
        .iter()
        .map(|(id, job, registry, namespace)| ((*job, RegistryId(*registry), namespace.as_str()), *id))
        .collect();
    Ok(names.into_iter().map(|name| (name, ids[&name])).collect())
}

/// The latest of the arrived images of each origin.
pub(super) fn latest_of(arrived: &[ArrivedImage], origin: impl Fn(&ArrivedImage) -> i64) -> LatestImages {
    let mut latest = LatestImages::new();
    for image in arrived {
        let (job_version, package_version) = (image.job_version.clone(), image.package_version.clone());
        propose_latest(&mut latest, origin(image), LatestImage { job_version, package_version, image_id: image.id });
    }
    latest
}

/// The verified marks of registries.
async fn marks_of(
    tx: &mut WriteTransaction,
    registries: BTreeSet<RegistryId>,
) -> Result<HashMap<RegistryId, VerifiedMarks>> {
    let select = "SELECT id, is_verified, verified_namespaces FROM registries WHERE id IN (";
    let rows: Vec<MarksRow> = bulk(select, registries.into_iter().map(|id| [id.into()]), ")").all(tx).await?;
    Ok(rows.into_iter().map(|MarksRow { id, marks }| (id, marks)).collect())
}

/// Determines the latest image of each touched origin; `arrived` has the images added to them. Origins without images
/// are removed. Returns the ids of the jobs of all touched origins.
pub(super) async fn settle(
    tx: &mut WriteTransaction,
    touched: &BTreeSet<i64>,
    arrived: LatestImages,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<BTreeSet<i64>> {
    let rows: Vec<TouchedOrigin> = bulk(
        &format!(
            "SELECT o.id, o.job_id, o.latest_job_version, o.latest_package_version, o.image_id,
                 EXISTS (SELECT 1 FROM images i
                         WHERE i.id = o.image_id AND i.origin_id = o.id AND i.revision <> {revision}) AS is_current
             FROM job_origins o WHERE o.id IN ("
        ),
        touched.iter().map(|id| [(*id).into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    let mut latest = arrived;
    for row in rows.iter().filter(|row| row.is_current) {
        propose_latest(&mut latest, row.id, row.latest());
    }
    // The latest image has left, so the next one is looked up among all images of the origin.
    let lost = rows.iter().filter(|row| !row.is_current && row.image_id != ImageId::default());
    let images: Vec<ImageOfOrigin> = bulk(
        "SELECT i.origin_id, v.job_version, i.package_version, MIN(i.id) AS image_id
         FROM images i JOIN job_versions v ON v.id = i.job_version_id WHERE i.origin_id IN (",
        lost.map(|row| [row.id.into()]),
        ") GROUP BY i.origin_id, v.job_version, i.package_version",
    )
    .all(&mut *tx)
    .await?;
    for ImageOfOrigin { origin_id, job_version, package_version, image_id } in images {
        propose_latest(&mut latest, origin_id, LatestImage { job_version, package_version, image_id });
    }
    let changed = rows.iter().filter_map(|row| {
        let image = latest.get(&row.id)?;
        (!row.is_current || *image != row.latest()).then_some((row.id, image))
    });
    set_latest(tx, &changed.collect::<Vec<_>>()).await?;
    let gone: Vec<i64> = rows.iter().map(|row| row.id).filter(|id| !latest.contains_key(id)).collect();
    tombstones::tombstone_origins(tx, gone.iter().map(|id| (*id).into()), now).await?;
    bulk("DELETE FROM job_origins WHERE id IN (", gone.iter().map(|id| [(*id).into()]), ")").execute(tx).await?;
    Ok(rows.into_iter().map(|row| row.job_id).collect())
}

/// Stores the latest images of origins, with the maintainers named by these.
async fn set_latest(tx: &mut WriteTransaction, changed: &[(i64, &LatestImage)]) -> Result<()> {
    let maintainers: Vec<MaintainerRow> = bulk(
        "SELECT i.id AS image_id, i.registry_id, r.visibility, c.maintainer, c.email, c.maint_org
         FROM images i JOIN contents c ON c.digest = i.digest JOIN registries r ON r.id = i.registry_id WHERE i.id IN (",
        changed.iter().map(|(_, image)| [image.image_id.into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    let maintainers: HashMap<ImageId, MaintainerRow> = maintainers.into_iter().map(|row| (row.image_id, row)).collect();
    let rows = changed.iter().map(|(id, LatestImage { job_version, package_version, image_id })| {
        let key = maintainers[image_id].key(OriginId(*id));
        [(*id).into(), job_version.into(), package_version.into(), (*image_id).into(), key.into()]
    });
    bulk(
        "WITH latest (id, job_version, package_version, image_id, maintainer_key) AS (",
        rows,
        ") UPDATE job_origins SET latest_job_version = latest.job_version,
             latest_package_version = latest.package_version, image_id = latest.image_id,
             maintainer_key = latest.maintainer_key
         FROM latest WHERE job_origins.id = latest.id",
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Decides which origins represent each of these jobs, gives the jobs the texts of their latest image, and removes jobs
/// without images.
pub(super) async fn update_representatives(
    tx: &mut WriteTransaction,
    jobs: &BTreeSet<i64>,
    revision: i64,
    now: DateTime<Utc>,
) -> Result<()> {
    let rows: Vec<PlacedOrigin> = bulk(
        "SELECT id, job_id, is_verified, maintainer_key, latest_job_version, latest_package_version, image_id, group_id,
             leads, represents
         FROM job_origins WHERE job_id IN (",
        jobs.iter().map(|id| [(*id).into()]),
        ")",
    )
    .all(&mut *tx)
    .await?;
    let mut by_job: BTreeMap<i64, Vec<PlacedOrigin>> = BTreeMap::new();
    rows.into_iter().for_each(|row| by_job.entry(row.job_id).or_default().push(row));
    let mut latest = Vec::new();
    let mut moved: Vec<(i64, OriginPlace, OriginPlace)> = Vec::new();
    for (job, rows) in by_job {
        let (origins, places): (Vec<KnownOrigin>, Vec<OriginPlace>) =
            rows.into_iter().map(|PlacedOrigin { origin, place, .. }| (origin, place)).unzip();
        for ((origin, before), place) in origins.iter().zip(places).zip(place_origins(&origins)) {
            if place.represents && place.leads {
                latest.push((job, origin.image_id));
            }
            if place != before {
                moved.push((origin.id.0, before, place));
            }
        }
    }
    bulk(
        "WITH moved (id, group_id, leads, represents) AS (",
        moved
            .iter()
            .map(|(id, _, place)| [(*id).into(), place.group_id.into(), place.leads.into(), place.represents.into()]),
        ") UPDATE job_origins SET group_id = moved.group_id, leads = moved.leads, represents = moved.represents
         FROM moved WHERE job_origins.id = moved.id",
    )
    .execute(&mut *tx)
    .await?;
    let is_indexed = |place: &OriginPlace| (place.represents, place.group_id);
    let other = moved.iter().filter(|(_, before, place)| is_indexed(place) != is_indexed(before));
    raise_revision(tx, other.map(|(id, ..)| *id), revision).await?;
    set_texts(tx, &latest).await?;
    let shown: BTreeSet<i64> = latest.iter().map(|(job, _)| *job).collect();
    let empty = || jobs.difference(&shown);
    tombstones::tombstone_jobs(tx, empty().map(|job| (*job).into()), now).await?;
    bulk("DELETE FROM jobs WHERE id IN (", empty().map(|job| [(*job).into()]), ")").execute(tx).await.map(drop)
}

async fn set_texts(tx: &mut WriteTransaction, latest: &[(i64, ImageId)]) -> Result<()> {
    bulk(
        "WITH latest (job_id, image_id) AS (",
        latest.iter().map(|(job, image)| [(*job).into(), (*image).into()]),
        ") UPDATE jobs SET image_id = i.id, latest_job_version = c.job_version,
             latest_package_version = c.package_version, title = c.title, maintainer = c.maintainer, email = c.email,
             maint_org = c.maint_org, description = c.description
         FROM latest JOIN images i ON i.id = latest.image_id JOIN contents c ON c.digest = i.digest
         WHERE jobs.id = latest.job_id",
    )
    .execute(tx)
    .await
    .map(drop)
}

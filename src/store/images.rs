//! Images: tags of registries. Catalogued ones, whose content is a Seed image, have a job version; the others are
//! stored so that the next scan need not read them again.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::columns::row;
use super::contents::tag_outcome;
use super::db::{select, sql};
use super::{Result, Store};
use crate::catalog::{
    CatalogueImage, ContentProblem, ImageId, JobId, JobVersionId, ManifestFacts, OriginId, PastDigest, RegistryId,
    StoredTag, split_repository,
};

row!(StoredTag { id, repository, tag, digest, changed_at, outcome, job_name });
row!(PastDigest { digest, since, until });

struct ProblemRow {
    repository: String,
    tag: String,
    problems: Vec<ContentProblem>,
}
row!(ProblemRow { repository, tag, problems });

/// An image as stored.
pub(super) struct ImageRow {
    id: ImageId,
    registry_id: RegistryId,
    job_id: JobId,
    job_version_id: JobVersionId,
    origin_id: OriginId,
    group_id: OriginId,
    registry_name: String,
    is_verified: bool,
    represents: bool,
    host: String,
    repository: String,
    tag: String,
    digest: String,
    platforms: Vec<String>,
    size: Option<u64>,
    built_at: Option<DateTime<Utc>>,
    first_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    facts: ManifestFacts,
}
row!(
    ImageRow {
        id,
        registry_id,
        job_id,
        job_version_id,
        origin_id,
        group_id,
        registry_name,
        is_verified,
        represents,
        host,
        repository,
        tag,
        digest,
        platforms,
        size,
        built_at,
        first_seen_at,
        changed_at,
    } + { facts }
);

impl From<ImageRow> for CatalogueImage {
    fn from(row: ImageRow) -> Self {
        let (org, rest) = split_repository(&row.repository);
        CatalogueImage {
            id: row.id,
            registry_id: row.registry_id,
            job_id: row.job_id,
            job_version_id: row.job_version_id,
            origin_id: row.origin_id,
            group_id: row.group_id,
            registry_name: row.registry_name,
            is_verified: row.is_verified,
            represents: row.represents,
            registry: row.host,
            org: org.to_owned(),
            name: format!("{rest}:{}", row.tag),
            digest: row.digest,
            platforms: row.platforms,
            size: row.size,
            built_at: row.built_at,
            facts: row.facts,
            first_seen_at: row.first_seen_at,
            changed_at: row.changed_at,
        }
    }
}

/// Selects [`ImageRow`]s: the join leaves out tags that are not catalogued.
macro_rules! image_select {
    ($tail:literal) => {
        concat!(
            "SELECT i.id, i.registry_id, v.job_id, i.job_version_id, i.origin_id, o.group_id, r.name AS registry_name, o.is_verified,
                 o.represents, r.host, i.repository, i.tag, i.digest, c.platforms, c.size, c.built_at, i.first_seen_at,
                 i.changed_at, c.job_name, c.job_version, c.package_version, c.title,
                 c.description, c.maintainer, c.email, c.maint_org, c.manifest, c.valid, c.manifest_problems
             FROM images i
             JOIN registries r ON r.id = i.registry_id
             JOIN contents c ON c.digest = i.digest
             JOIN job_versions v ON v.id = i.job_version_id
             JOIN job_origins o ON o.id = i.origin_id ",
            $tail
        )
    };
}
pub(super) use image_select;

/// Selects [`StoredTag`]s.
macro_rules! tag_select {
    ($tail:literal) => {
        concat!(
            "SELECT i.id, i.repository, i.tag, i.digest, i.changed_at, ",
            tag_outcome!(),
            ", c.job_name FROM images i JOIN contents c ON c.digest = i.digest ",
            $tail
        )
    };
}

impl Store {
    /// All catalogued images, by id.
    pub async fn image_list(&self) -> Result<Vec<CatalogueImage>> {
        Ok(images(sql(image_select!("ORDER BY i.id")).all(&self.db).await?))
    }

    pub async fn image_get(&self, id: ImageId) -> Result<Option<CatalogueImage>> {
        let row: Option<ImageRow> = sql(image_select!("WHERE i.id = $1")).bind(id).optional(&self.db).await?;
        Ok(row.map(CatalogueImage::from))
    }

    /// Former digests of an image's tag, newest first, at most `limit`.
    pub async fn image_history(&self, id: ImageId, limit: u32) -> Result<Vec<PastDigest>> {
        sql("SELECT digest, since, until FROM image_history WHERE image_id = $1 ORDER BY id DESC LIMIT $2")
            .bind(id)
            .bind(limit)
            .all(&self.db)
            .await
    }

    /// The catalogued image of a tag. The host is empty for layouts and archives on disk; if several registries have
    /// the same host, the image with the lowest id.
    pub async fn image_by_name(&self, host: &str, repository: &str, tag: &str) -> Result<Option<CatalogueImage>> {
        let select = image_select!("WHERE r.host = $1 AND i.repository = $2 AND i.tag = $3 ORDER BY i.id LIMIT 1");
        let row: Option<ImageRow> = sql(select).bind(host).bind(repository).bind(tag).optional(&self.db).await?;
        Ok(row.map(CatalogueImage::from))
    }

    /// Images in the order of `ids`; missing ids are left out, and duplicates are returned once.
    pub async fn image_list_by_ids(&self, ids: &[ImageId]) -> Result<Vec<CatalogueImage>> {
        let rows: Vec<ImageRow> = select(image_select!(""), Some(("i.id", ids.iter().copied()))).all(&self.db).await?;
        let mut found: HashMap<ImageId, ImageRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).map(CatalogueImage::from).collect())
    }

    /// Catalogued images, ordered by when their tag appeared or last moved, latest first.
    pub async fn image_newest(&self, limit: u32) -> Result<Vec<CatalogueImage>> {
        let rows = sql(image_select!(
            "WHERE i.id IN (SELECT id FROM images WHERE job_version_id IS NOT NULL
                            ORDER BY changed_at DESC, id DESC LIMIT $1)
             ORDER BY i.changed_at DESC, i.id DESC"
        ))
        .bind(limit)
        .all(&self.db)
        .await?;
        Ok(images(rows))
    }

    /// As [`Store::image_newest`], only images with these ids.
    pub async fn image_newest_among(&self, ids: &[ImageId], limit: usize) -> Result<Vec<CatalogueImage>> {
        let mut moved: Vec<(i64, i64)> =
            select("SELECT changed_at, id FROM images", Some(("id", ids.iter().copied()))).all(&self.db).await?;
        moved.sort_unstable_by(|one, other| other.cmp(one));
        moved.dedup();
        let newest: Vec<ImageId> = moved.into_iter().take(limit).map(|(_, id)| ImageId(id)).collect();
        self.image_list_by_ids(&newest).await
    }

    /// The highest revision of an image, and the number of catalogued images.
    pub async fn image_state(&self) -> Result<(i64, u64)> {
        let (revision, count): (Option<i64>, i64) =
            sql("SELECT MAX(revision), COUNT(*) FROM images WHERE job_version_id IS NOT NULL").one(&self.db).await?;
        Ok((revision.unwrap_or_default(), count.unsigned_abs()))
    }

    /// Number of tags and of Seed images of each registry: `(registry, tags, images)`.
    pub async fn image_totals(&self) -> Result<Vec<(RegistryId, u64, u64)>> {
        let rows: Vec<(i64, i64, i64)> = sql(
            "SELECT registry_id, COUNT(*), COUNT(job_version_id) FROM images GROUP BY registry_id ORDER BY registry_id",
        )
        .all(&self.db)
        .await?;
        let count = |n: i64| n.unsigned_abs();
        Ok(rows.into_iter().map(|(id, tags, images)| (RegistryId(id), count(tags), count(images))).collect())
    }

    /// All tags of a registry, catalogued or not.
    pub async fn image_tags(&self, registry: RegistryId) -> Result<Vec<StoredTag>> {
        sql(tag_select!("WHERE i.registry_id = $1 ORDER BY i.id")).bind(registry).all(&self.db).await
    }

    /// All tags of one repository, for `diff`.
    pub async fn image_tags_of(&self, registry: RegistryId, repository: &str) -> Result<Vec<StoredTag>> {
        sql(tag_select!("WHERE i.registry_id = $1 AND i.repository = $2 ORDER BY i.tag"))
            .bind(registry)
            .bind(repository)
            .all(&self.db)
            .await
    }

    /// Tags of a registry whose contents have problems, by repository and tag.
    pub async fn image_problem_list(&self, registry: RegistryId) -> Result<Vec<(String, String, Vec<ContentProblem>)>> {
        let rows: Vec<ProblemRow> = sql("SELECT i.repository, i.tag, c.problems
             FROM images i JOIN contents c ON c.digest = i.digest
             WHERE i.registry_id = $1 AND c.problems <> '[]' ORDER BY i.repository, i.tag")
        .bind(registry)
        .all(&self.db)
        .await?;
        Ok(rows.into_iter().map(|row| (row.repository, row.tag, row.problems)).collect())
    }

    /// Number of stored tags of each repository of a registry, by name.
    pub async fn image_counts(&self, registry: RegistryId) -> Result<Vec<(String, i64)>> {
        sql("SELECT repository, COUNT(*) FROM images WHERE registry_id = $1 GROUP BY repository ORDER BY repository")
            .bind(registry)
            .all(&self.db)
            .await
    }
}

pub(super) fn images(rows: Vec<ImageRow>) -> Vec<CatalogueImage> {
    rows.into_iter().map(CatalogueImage::from).collect()
}

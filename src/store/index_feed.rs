//! The changes that the search index is updated from.

use super::db::sql;
use super::images::{image_select, images};
use super::{Result, Store};
use crate::catalog::{CatalogueImage, ImageId};

/// State of the catalogue that the search index compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueState {
    /// See [`Store::catalogue_revision`].
    pub revision: i64,
    /// The last revision in which images were removed: an index of that revision or later has no removed image.
    pub removed_at: i64,
    /// Number of catalogued images.
    pub images: u64,
}

impl Store {
    /// The revision, incremented with every change of the catalogue; 0 for an empty, unchanged one.
    pub async fn catalogue_revision(&self) -> Result<i64> {
        let (revision,) = sql("SELECT revision FROM catalogue").one(&self.db).await?;
        Ok(revision)
    }

    /// The state of the catalogue, read in one statement.
    pub async fn catalogue_state(&self) -> Result<CatalogueState> {
        let (revision, removed_at, images): (i64, i64, i64) = sql("SELECT revision, removed_at,
                (SELECT COUNT(*) FROM images WHERE job_version_id IS NOT NULL) FROM catalogue")
        .one(&self.db)
        .await?;
        Ok(CatalogueState { revision, removed_at, images: images.unsigned_abs() })
    }

    /// Images whose row, content or job changed after `revision`, by id, only those above `after`, at most `limit`.
    /// (The index holds only fields of the image itself.) Removed images are those missing from [`Store::image_ids`].
    pub async fn image_changes(&self, revision: i64, after: ImageId, limit: u32) -> Result<Vec<CatalogueImage>> {
        let rows = sql(image_select!("WHERE i.revision > $1 AND i.id > $2 ORDER BY i.id LIMIT $3"))
            .bind(revision)
            .bind(after)
            .bind(limit)
            .all(&self.db)
            .await?;
        Ok(images(rows))
    }

    /// Ids of all catalogued images, ascending.
    pub async fn image_ids(&self) -> Result<Vec<i64>> {
        let rows: Vec<(i64,)> =
            sql("SELECT id FROM images WHERE job_version_id IS NOT NULL ORDER BY id").all(&self.db).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}

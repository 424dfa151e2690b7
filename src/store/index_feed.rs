//! What the search index is brought up to date with.

use super::db::sql;
use super::images::{image_select, images};
use super::{Result, Store};
use crate::catalog::{Image, ImageId};

/// The catalogue as the search index is held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueState {
    /// As [`Store::catalogue_revision`].
    pub revision: i64,
    /// The last revision in which images went: who has that one has no image too many.
    pub removed_at: i64,
    /// How many images there are that can be found.
    pub images: u64,
}

impl Store {
    /// Rises with every change of the catalogue; 0 for an empty, untouched one.
    pub async fn catalogue_revision(&self) -> Result<i64> {
        let (revision,) = sql("SELECT revision FROM catalogue").one(&self.db).await?;
        Ok(revision)
    }

    /// Where the catalogue stands, all of it at one moment.
    pub async fn catalogue_state(&self) -> Result<CatalogueState> {
        let (revision, removed_at, images): (i64, i64, i64) = sql("SELECT revision, removed_at,
                (SELECT COUNT(*) FROM images WHERE job_version_id IS NOT NULL) FROM catalogue")
        .one(&self.db)
        .await?;
        Ok(CatalogueState { revision, removed_at, images: images.unsigned_abs() })
    }

    /// Images whose row, content or job changed after `revision`, in ascending id above `after`, at most `limit`. (An
    /// image's own fields are all that the index holds.) What is gone shows by its absence from [`Store::image_ids`].
    pub async fn image_changes(&self, revision: i64, after: ImageId, limit: u32) -> Result<Vec<Image>> {
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

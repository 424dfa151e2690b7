//! The row of `catalogue`: the revision of the catalogue, and the lock of its changes.
//!
//! Every transaction that changes images locks the row first. So there is one at a time, jobs are derived from all
//! images, and there are no deadlocks.

use super::Result;
use super::db::{WriteTransaction, sql};

/// Excludes other changes of images and jobs until the transaction ends; returns the current revision.
pub(super) async fn catalogue_lock(tx: &mut WriteTransaction, lock: &str) -> Result<i64> {
    let (revision,) = sql(format!("SELECT revision FROM catalogue {lock}")).one(tx).await?;
    Ok(revision)
}

/// Notes that images were removed in this revision: a copy such as the search index has to find out which.
pub(super) async fn catalogue_set_removed(tx: &mut WriteTransaction, revision: i64) -> Result<()> {
    sql("UPDATE catalogue SET removed_at = $1").bind(revision).execute(tx).await.map(drop)
}

pub(super) async fn catalogue_set_revision(tx: &mut WriteTransaction, revision: i64) -> Result<()> {
    sql("UPDATE catalogue SET revision = $1").bind(revision).execute(tx).await.map(drop)
}

//! Queries of runs: one, a page, counts by status.

use chrono::{DateTime, Utc};

use super::columns::row;
use super::conditions::{QueryConditions, QueryValue};
use super::db::sql;
use super::{Result, Store, StoredRun};
use crate::catalog::{RunCounts, RunFilter, RunStatus, RunSummary, UserId};

row!(RunSummary {
    id,
    owner_id,
    owner,
    batch_id,
    batch_row,
    rerun_of,
    label,
    tags,
    job_name,
    job_version,
    package_version,
    image,
    status,
    phase,
    progress,
    message,
    error_name,
    error_category,
    priority,
    attempts,
    max_tries,
    created_at,
    started_at,
    finished_at,
    updated_at,
    purged_at,
});
row!(StoredRun { spec, sealed, record, cancelled_by, host } + { summary });

/// The columns of a [`RunSummary`].
macro_rules! summary_columns {
    () => {
        "r.id, r.owner_id, r.owner, r.batch_id, r.batch_row, r.rerun_of, r.label, r.tags, r.job_name, r.job_version,
             r.package_version, r.image, r.status, r.phase, r.progress, r.message, r.error_name, r.error_category,
             r.priority, r.attempts, r.max_tries, r.created_at, r.started_at, r.finished_at, r.updated_at, r.purged_at"
    };
}

pub(super) fn conditions_of(filter: &RunFilter) -> QueryConditions {
    let mut all = QueryConditions::default();
    if let Some(owner) = filter.owner {
        all.add("r.owner_id = ?", QueryValue::Integer(owner.0));
    }
    if !filter.status.is_empty() {
        // Words of a closed set need no quoting.
        let words: Vec<String> = filter.status.iter().map(|status| format!("'{}'", status.as_str())).collect();
        all.add_plain(format!("r.status IN ({})", words.join(", ")));
    }
    let texts = [
        ("r.owner = ?", &filter.owner_name),
        ("r.job_name = ?", &filter.job),
        ("r.job_version = ?", &filter.job_version),
        ("r.image = ?", &filter.image),
        ("r.batch_id = ?", &filter.batch),
        ("r.error_name = ?", &filter.error),
    ];
    for (text, value) in texts {
        all.add_text(text, value.as_ref());
    }
    for tag in &filter.tags {
        let text = "r.id IN (SELECT t.run_id FROM run_tags t WHERE t.tag = ?)";
        all.add(text, QueryValue::Text(tag.clone()));
    }
    if let Some(after) = filter.created_after {
        all.add("r.created_at >= ?", QueryValue::Integer(after.timestamp_millis()));
    }
    if let Some(before) = filter.created_before {
        all.add("r.created_at < ?", QueryValue::Integer(before.timestamp_millis()));
    }
    all
}

impl Store {
    /// All that is stored of a run.
    pub async fn run_get(&self, id: &str) -> Result<Option<StoredRun>> {
        sql(concat!(
            "SELECT ",
            summary_columns!(),
            ", r.spec, r.sealed, r.record, r.cancelled_by, r.host FROM runs r WHERE r.id = $1"
        ))
        .bind(id)
        .optional(&self.db)
        .await
    }

    /// A run, as lists show it.
    pub async fn run_summary(&self, id: &str) -> Result<Option<RunSummary>> {
        sql(concat!("SELECT ", summary_columns!(), " FROM runs r WHERE r.id = $1")).bind(id).optional(&self.db).await
    }

    /// Runs, newest first; only those with an id below `before`.
    pub async fn run_list(&self, filter: &RunFilter, before: Option<&str>, limit: u32) -> Result<Vec<RunSummary>> {
        let mut conditions = conditions_of(filter);
        if let Some(before) = before {
            conditions.add("r.id < ?", QueryValue::Text(before.to_owned()));
        }
        conditions
            .sql(concat!("SELECT ", summary_columns!(), " FROM runs r"), &format!("ORDER BY r.id DESC LIMIT {limit}"))
            .all(&self.db)
            .await
    }

    /// Ids and records of the owner's successful runs that have their outputs, newest first; only with ids below `before`.
    /// Records with more than a million characters are left out.
    pub async fn run_list_records_with_outputs(
        &self,
        owner: UserId,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, String)>> {
        let mut conditions = QueryConditions::default();
        conditions.add("owner_id = ?", QueryValue::Integer(owner.0));
        conditions.add_plain("status = 'successful' AND purged_at IS NULL AND LENGTH(record) <= 1000000".to_owned());
        if let Some(before) = before {
            conditions.add("id < ?", QueryValue::Text(before.to_owned()));
        }
        conditions.sql("SELECT id, record FROM runs", &format!("ORDER BY id DESC LIMIT {limit}")).all(&self.db).await
    }

    /// The runs of a batch after the row `after`, by row.
    pub async fn run_list_batch(&self, batch: &str, after: i64, limit: u32) -> Result<Vec<RunSummary>> {
        sql(concat!(
            "SELECT ",
            summary_columns!(),
            " FROM runs r WHERE r.batch_id = $1 AND r.batch_row > $2 ORDER BY r.batch_row LIMIT $3"
        ))
        .bind(batch)
        .bind(after)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// The same with all that is stored of them.
    pub async fn run_get_batch(&self, batch: &str, after: i64, limit: u32) -> Result<Vec<StoredRun>> {
        sql(concat!(
            "SELECT ",
            summary_columns!(),
            ", r.spec, r.sealed, r.record, r.cancelled_by, r.host FROM runs r
             WHERE r.batch_id = $1 AND r.batch_row > $2 ORDER BY r.batch_row LIMIT $3"
        ))
        .bind(batch)
        .bind(after)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// Number of runs by status.
    pub async fn run_counts(&self, filter: &RunFilter) -> Result<RunCounts> {
        let rows: Vec<(String, i64)> = conditions_of(filter)
            .sql("SELECT r.status, COUNT(*) FROM runs r", "GROUP BY r.status")
            .all(&self.db)
            .await?;
        Ok(counted(rows))
    }

    /// Number of active runs by status.
    pub async fn run_counts_active(&self) -> Result<RunCounts> {
        let rows: Vec<(String, i64)> =
            sql("SELECT status, COUNT(*) FROM runs WHERE finished_at IS NULL GROUP BY status").all(&self.db).await?;
        Ok(counted(rows))
    }

    /// The owner's newest run with this key that is active, or was successful and still has its outputs.
    pub async fn run_find_duplicate(&self, owner: UserId, dedup_key: &str) -> Result<Option<RunSummary>> {
        sql(concat!(
            "SELECT ",
            summary_columns!(),
            " FROM runs r WHERE r.dedup_key = $1 AND r.owner_id = $2 AND r.purged_at IS NULL AND r.cancelled_by IS NULL
                 AND r.status IN ('accepted', 'running', 'successful') ORDER BY r.id DESC LIMIT 1"
        ))
        .bind(dedup_key)
        .bind(owner)
        .optional(&self.db)
        .await
    }

    /// Ids of runs that ended before `before` and whose files were not deleted, oldest first. Runs of another host only
    /// if they ended before `before_of_others`.
    pub async fn run_list_outdated(
        &self,
        before: DateTime<Utc>,
        host: &str,
        before_of_others: DateTime<Utc>,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sql("SELECT id FROM runs
             WHERE finished_at < $1 AND purged_at IS NULL AND (host = $2 OR host IS NULL OR finished_at < $3)
             ORDER BY finished_at, id LIMIT $4 OFFSET $5")
        .bind(before)
        .bind(host)
        .bind(before_of_others)
        .bind(limit)
        .bind(skip)
        .all(&self.db)
        .await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Ids of a host's runs whose files were deleted since `since`, by any process.
    pub async fn run_list_purged(&self, host: &str, since: DateTime<Utc>) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sql("SELECT id FROM runs WHERE host = $1 AND purged_at >= $2").bind(host).bind(since).all(&self.db).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Ids of a host's runs that are claimed.
    pub async fn run_list_held(&self, host: &str) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sql("SELECT id FROM runs WHERE host = $1 AND lease_token IS NOT NULL").bind(host).all(&self.db).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}

fn counted(rows: Vec<(String, i64)>) -> RunCounts {
    let mut counts = RunCounts::default();
    for (word, number) in rows {
        if let Some(status) = RunStatus::parse(&word) {
            *counts.of(status) = number.unsigned_abs();
        }
    }
    counts
}

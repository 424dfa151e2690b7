//! Batches: runs grouped by the submission that queued them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::columns::row;
use super::conditions::QueryValue;
use super::run_queries::conditions_of;
use super::{Result, Store};
use crate::catalog::{BatchErrorCount, BatchSummary, RunCounts, RunFilter};

/// The rows of a batch, summed up by the database.
struct BatchTotals {
    id: String,
    owner: String,
    job_name: String,
    job_version: String,
    package_version: String,
    image: String,
    label: String,
    created_at: DateTime<Utc>,
    accepted: u64,
    running: u64,
    successful: u64,
    failed: u64,
    dismissed: u64,
}
row!(BatchTotals {
    id,
    owner,
    job_name,
    job_version,
    package_version,
    image,
    label,
    created_at,
    accepted,
    running,
    successful,
    failed,
    dismissed,
});

impl Store {
    /// Batches with runs that fit the filter, newest first; only those with an id below `before`.
    pub async fn batch_list(&self, filter: &RunFilter, before: Option<&str>, limit: u32) -> Result<Vec<BatchSummary>> {
        let mut conditions = conditions_of(filter);
        conditions.add_plain("r.batch_id IS NOT NULL".to_owned());
        if let Some(before) = before {
            conditions.add("r.batch_id < ?", QueryValue::Text(before.to_owned()));
        }
        let rows: Vec<BatchTotals> = conditions
            .sql(
                "SELECT r.batch_id AS id, MIN(r.owner) AS owner, MIN(r.job_name) AS job_name,
                     MIN(r.job_version) AS job_version, MIN(r.package_version) AS package_version,
                     MIN(r.image) AS image, MIN(r.created_at) AS created_at,
                     CASE WHEN MIN(r.label) = MAX(r.label) THEN MIN(r.label) ELSE '' END AS label,
                     COUNT(*) FILTER (WHERE r.status = 'accepted') AS accepted,
                     COUNT(*) FILTER (WHERE r.status = 'running') AS running,
                     COUNT(*) FILTER (WHERE r.status = 'successful') AS successful,
                     COUNT(*) FILTER (WHERE r.status = 'failed') AS failed,
                     COUNT(*) FILTER (WHERE r.status = 'dismissed') AS dismissed
                 FROM runs r",
                &format!("GROUP BY r.batch_id ORDER BY r.batch_id DESC LIMIT {limit}"),
            )
            .all(&self.db)
            .await?;
        let (Some(newest), Some(oldest)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let mut errors = self.batch_errors(filter, &oldest.id, &newest.id).await?;
        Ok(rows.into_iter().map(|row| summary(row, &mut errors)).collect())
    }

    /// The errors of failed runs, by batch; of the batches with ids from `first` to `last`.
    async fn batch_errors(
        &self,
        filter: &RunFilter,
        first: &str,
        last: &str,
    ) -> Result<HashMap<String, Vec<BatchErrorCount>>> {
        let mut conditions = conditions_of(filter);
        conditions.add("r.batch_id >= ?", QueryValue::Text(first.to_owned()));
        conditions.add("r.batch_id <= ?", QueryValue::Text(last.to_owned()));
        conditions.add_plain("r.status = 'failed' AND r.error_name IS NOT NULL".to_owned());
        let rows: Vec<(String, String, Option<String>, i64, String)> = conditions
            .sql(
                "SELECT r.batch_id, r.error_name, r.error_category, COUNT(*), MIN(r.id) FROM runs r",
                "GROUP BY r.batch_id, r.error_name, r.error_category ORDER BY COUNT(*) DESC, r.error_name",
            )
            .all(&self.db)
            .await?;
        let mut errors: HashMap<String, Vec<BatchErrorCount>> = HashMap::new();
        for (batch, name, category, count, example) in rows {
            let count = count.unsigned_abs();
            errors.entry(batch).or_default().push(BatchErrorCount { name, category, count, example });
        }
        Ok(errors)
    }
}

fn summary(row: BatchTotals, errors: &mut HashMap<String, Vec<BatchErrorCount>>) -> BatchSummary {
    let BatchTotals { id, owner, job_name, job_version, package_version, image, label, created_at, .. } = row;
    BatchSummary {
        errors: errors.remove(&id).unwrap_or_default(),
        counts: RunCounts {
            accepted: row.accepted,
            running: row.running,
            successful: row.successful,
            failed: row.failed,
            dismissed: row.dismissed,
        },
        id,
        owner,
        job_name,
        job_version,
        package_version,
        image,
        label,
        created_at,
    }
}

//! Cache of job rows that were shown a moment ago: a client that searches while its user types gets nearly the same
//! results with each key stroke, and reading them from the database is a large part of a search's time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{App, Result};
use crate::catalog::{JobId, JobSummary};

/// How long rows are cached: as long as the index may lag behind the database.
const KEPT: Duration = Duration::from_secs(1);
/// Most cached rows.
const MOST: usize = 5_000;

/// The cached rows, if any.
#[derive(Default)]
pub(super) struct JobSummaryCache(Mutex<Option<CachedRows>>);

struct CachedRows {
    since: Instant,
    /// Revision of the index: with another one, the rows may differ.
    revision: i64,
    rows: HashMap<JobId, JobSummary>,
}

impl App {
    /// As [`crate::store::Store::job_summary_list_by_ids`], but rows may be a second old, and the group of a job that has
    /// only one is left out: it would repeat the job.
    pub(super) async fn job_summaries(&self, ids: &[JobId]) -> Result<Vec<JobSummary>> {
        let revision = self.0.index.revision();
        let mut found = self.0.summaries.get(revision, ids);
        let missing: Vec<JobId> = ids.iter().copied().filter(|id| !found.contains_key(id)).collect();
        if !missing.is_empty() {
            let mut rows = self.0.store.job_summary_list_by_ids(&missing).await?;
            rows.iter_mut().filter(|row| row.group_count <= 1).for_each(|row| row.groups.clear());
            self.0.summaries.put(revision, &rows);
            found.extend(rows.into_iter().map(|row| (row.job.id, row)));
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}

impl JobSummaryCache {
    fn get(&self, revision: i64, ids: &[JobId]) -> HashMap<JobId, JobSummary> {
        let kept = self.0.lock();
        let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(revision)) else { return HashMap::new() };
        ids.iter().filter_map(|id| Some((*id, kept.rows.get(id)?.clone()))).collect()
    }

    /// The cached rows, however old.
    pub(super) fn last(&self, ids: &[JobId]) -> HashMap<JobId, JobSummary> {
        let kept = self.0.lock();
        let Some(kept) = kept.as_ref() else { return HashMap::new() };
        ids.iter().filter_map(|id| Some((*id, kept.rows.get(id)?.clone()))).collect()
    }

    fn put(&self, revision: i64, rows: &[JobSummary]) {
        let mut kept = self.0.lock();
        if !kept.as_ref().is_some_and(|kept| kept.is_fresh(revision) && kept.rows.len() < MOST) {
            *kept = Some(CachedRows { since: Instant::now(), revision, rows: HashMap::new() });
        }
        if let Some(kept) = kept.as_mut() {
            kept.rows.extend(rows.iter().map(|row| (row.job.id, row.clone())));
        }
    }
}

impl CachedRows {
    fn is_fresh(&self, revision: i64) -> bool {
        self.revision == revision && self.since.elapsed() < KEPT
    }
}

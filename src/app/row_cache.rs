//! Caches of rows that were shown a moment ago: a client that searches while its user types gets nearly the same
//! results with each key stroke, and reading them from the database is a large part of a search's time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::search::search_doc;
use super::{App, Result};
use crate::catalog::{ImageId, JobId, JobSummary, SearchDoc};

/// How long rows are cached: as long as the index may lag behind the database.
const KEPT: Duration = Duration::from_secs(1);
/// Most rows in a cache.
const MOST: usize = 5_000;

/// The rows of searches that are cached.
#[derive(Default)]
pub(super) struct SearchRowCache {
    summaries: RowCache<JobId, JobSummary>,
    /// What is highlighted of images.
    docs: RowCache<ImageId, Arc<SearchDoc>>,
}

/// Rows by key, as long as they are fresh. Emptied when a row is added after that, or when it is full.
struct RowCache<K, V>(Mutex<Option<CachedRows<K, V>>>);

struct CachedRows<K, V> {
    since: Instant,
    /// Revision of the index: with another one, the rows may differ.
    revision: i64,
    rows: HashMap<K, V>,
}

impl App {
    /// As [`crate::store::Store::job_summary_list_by_ids`], but rows may be a second old, and the group of a job that has
    /// only one is left out: it would repeat the job.
    pub(super) async fn job_summaries(&self, ids: &[JobId]) -> Result<Vec<JobSummary>> {
        let without_single = |rows: &mut Vec<JobSummary>| {
            rows.iter_mut().filter(|row| row.group_count <= 1).for_each(|row| row.groups.clear());
        };
        if !self.view().is_whole() {
            // The cached rows are of the whole catalogue.
            let mut rows = self.store().job_summary_list_by_ids(ids).await?;
            without_single(&mut rows);
            return Ok(rows);
        }
        let (cache, revision) = (&self.0.search_rows.summaries, self.0.index.revision());
        let mut found = cache.get(revision, ids);
        let missing = missing(ids, &found);
        if !missing.is_empty() {
            let mut rows = self.store().job_summary_list_by_ids(&missing).await?;
            without_single(&mut rows);
            cache.put(revision, rows.iter().map(|row| (row.job.id, row.clone())));
            found.extend(rows.into_iter().map(|row| (row.job.id, row)));
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// The texts of images, which may be a second old, in the order of `ids`; missing images are left out.
    pub(super) async fn search_docs(&self, ids: &[ImageId]) -> Result<Vec<Arc<SearchDoc>>> {
        let (cache, revision) = (&self.0.search_rows.docs, self.0.index.revision());
        let mut found = cache.get(revision, ids);
        let missing = missing(ids, &found);
        if !missing.is_empty() {
            let images = self.store().image_list_by_ids(&missing).await?;
            // Manifests may be long.
            let read = move || images.iter().map(|image| (image.id, Arc::new(search_doc(image)))).collect::<Vec<_>>();
            let docs = tokio::task::spawn_blocking(read).await?;
            cache.put(revision, docs.iter().cloned());
            found.extend(docs);
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// The cached summaries of these jobs, however old; none for a reader who does not see the whole catalogue.
    pub(super) fn last_job_summaries(&self, ids: &[JobId]) -> HashMap<JobId, JobSummary> {
        if self.view().is_whole() { self.0.search_rows.summaries.last(ids) } else { HashMap::new() }
    }
}

fn missing<K: Copy + Eq + Hash, V>(ids: &[K], found: &HashMap<K, V>) -> Vec<K> {
    ids.iter().copied().filter(|id| !found.contains_key(id)).collect()
}

impl<K: Copy + Eq + Hash, V: Clone> RowCache<K, V> {
    fn get(&self, revision: i64, ids: &[K]) -> HashMap<K, V> {
        let kept = self.0.lock();
        kept.as_ref().filter(|kept| kept.is_fresh(revision)).map(|kept| kept.of(ids)).unwrap_or_default()
    }

    fn last(&self, ids: &[K]) -> HashMap<K, V> {
        self.0.lock().as_ref().map(|kept| kept.of(ids)).unwrap_or_default()
    }

    fn put(&self, revision: i64, rows: impl Iterator<Item = (K, V)>) {
        let mut kept = self.0.lock();
        if !kept.as_ref().is_some_and(|kept| kept.is_fresh(revision) && kept.rows.len() < MOST) {
            *kept = Some(CachedRows { since: Instant::now(), revision, rows: HashMap::new() });
        }
        if let Some(kept) = kept.as_mut() {
            kept.rows.extend(rows);
        }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> CachedRows<K, V> {
    fn is_fresh(&self, revision: i64) -> bool {
        self.revision == revision && self.since.elapsed() < KEPT
    }

    fn of(&self, ids: &[K]) -> HashMap<K, V> {
        ids.iter().filter_map(|id| Some((*id, self.rows.get(id)?.clone()))).collect()
    }
}

impl<K, V> Default for RowCache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

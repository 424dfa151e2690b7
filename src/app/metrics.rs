//! Metrics for operators (`docs/operations.md`). Counters are incremented where things happen; gauges are updated when
//! `/metrics` is read.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{App, Error, Result};
use crate::catalog::{RegistryId, RegistryRecord, RegistryVisibility, ScanId, ScanRecord};

impl App {
    /// Updates the gauges. While the database is unreachable they keep their values.
    pub async fn describe_metrics(&self) {
        metrics::gauge!("silo_index_revision").set(self.0.index.revision() as f64);
        metrics::gauge!("silo_index_ready").set(if self.0.index.serving().is_ok() { 1.0 } else { 0.0 });
        // Present from the start, so that the first increment shows as a rise.
        metrics::counter!("silo_runs_purged_for_room_total").increment(0);
        metrics::gauge!("silo_run_files_stuck").increment(0.0);
        if let Err(why) = self.run_disk_shortage().await {
            tracing::warn!(%why, "the free space on the disk of runs could not be read");
        }
        match self.describe_catalogue().await {
            // The store has logged it already.
            Ok(()) | Err(Error::StoreAway(_)) => {}
            Err(why) => tracing::warn!(%why, "the numbers of the catalogue could not be read"),
        }
    }

    /// Counts a scan that ended in this process.
    pub(super) async fn count_scan(&self, id: ScanId) {
        let counted = async {
            let Some(scan) = self.0.whole_store.scan_get(id).await? else { return Ok(()) };
            if let Some(registry) = self.0.whole_store.registry_get(scan.registry_id).await? {
                count(&registry, &scan);
            }
            Ok::<_, Error>(())
        };
        if let Err(why) = counted.await {
            tracing::warn!(%why, scan = %id, "the scan is not counted");
        }
    }

    async fn describe_catalogue(&self) -> Result<()> {
        let store = &self.0.whole_store;
        // The index is read first, so that it never appears ahead of the catalogue.
        let indexed = self.0.index.revision();
        let revision = store.catalogue_revision().await?;
        metrics::gauge!("silo_index_lag").set((revision - indexed) as f64);
        let (queued, running) = store.scan_queue().await?;
        metrics::gauge!("silo_scan_queue", "state" => "queued").set(queued as f64);
        metrics::gauge!("silo_scan_queue", "state" => "running").set(running as f64);
        let runs = store.run_counts_active().await?;
        metrics::gauge!("silo_run_queue", "state" => "accepted").set(runs.accepted as f64);
        metrics::gauge!("silo_run_queue", "state" => "running").set(runs.running as f64);
        for status in ["successful", "failed", "dismissed", "retry"] {
            // Present from the start, so that the first increment shows as a rise.
            metrics::counter!("silo_run_attempts_total", "status" => status).increment(0);
        }
        let registries = store.registry_list().await?;
        let counts = store.image_totals().await?.into_iter().map(|(id, tags, images)| (id, (tags, images)));
        let counts: HashMap<RegistryId, (u64, u64)> = counts.collect();
        let successes: HashMap<RegistryId, DateTime<Utc>> = store.scan_last_success().await?.into_iter().collect();
        let mut described = self.0.described.lock();
        // NaN, so that alarms about a deleted registry fall silent.
        for labels in described.drain(..) {
            for name in ["silo_registry_tags", "silo_registry_images", "silo_registry_last_success_timestamp_seconds"] {
                metrics::gauge!(name, &labels).set(f64::NAN);
            }
        }
        for registry in &registries {
            let labels = labels(registry);
            let (tags, images) = counts.get(&registry.id).copied().unwrap_or_default();
            metrics::gauge!("silo_registry_tags", &labels).set(tags as f64);
            metrics::gauge!("silo_registry_images", &labels).set(images as f64);
            let success = successes.get(&registry.id).map_or(0, DateTime::timestamp);
            metrics::gauge!("silo_registry_last_success_timestamp_seconds", &labels).set(success as f64);
            described.push(labels);
        }
        Ok(())
    }
}

/// Labels of each metric of a registry.
pub(super) type RegistryLabels = [(&'static str, String); 2];

fn labels(registry: &RegistryRecord) -> RegistryLabels {
    // Whoever may read the metrics need not know the names of closed registries.
    let name = match registry.visibility {
        RegistryVisibility::Public => registry.name.clone(),
        RegistryVisibility::Internal | RegistryVisibility::Private => format!("registry-{}", registry.id),
    };
    [("registry", name), ("kind", registry.kind.as_str().to_owned())]
}

fn count(registry: &RegistryRecord, scan: &ScanRecord) {
    let counts = &scan.counts;
    let labels = labels(registry);
    let with = |key: &'static str, word: &'static str| -> [(&'static str, String); 3] {
        let [name, kind] = labels.clone();
        [name, kind, (key, word.to_owned())]
    };
    metrics::counter!("silo_scans_total", &with("state", scan.state.as_str())).increment(1);
    metrics::counter!("silo_scan_requests_total", &labels).increment(counts.requests);
    metrics::counter!("silo_scan_bytes_total", &labels).increment(counts.bytes);
    metrics::counter!("silo_scan_problems_total", &labels).increment(counts.problems);
    for (change, number) in [("added", counts.added), ("changed", counts.changed), ("removed", counts.removed)] {
        metrics::counter!("silo_scan_changes_total", &with("change", change)).increment(number);
    }
    if let (Some(started), Some(finished)) = (scan.started_at, scan.finished_at) {
        let seconds = (finished - started).as_seconds_f64();
        metrics::histogram!("silo_scan_duration_seconds", &labels).record(seconds.max(0.0));
    }
}

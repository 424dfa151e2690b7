//! Does the scans that are queued, one at a time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Reconcile;
use crate::app::{App, Result};

pub(super) struct ScanWorker {
    app: App,
}

impl ScanWorker {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

impl Reconcile for ScanWorker {
    const NAME: &'static str = "scan_worker";
    /// Finds scans queued by other processes, and those whose worker died.
    const PERIOD: Duration = Duration::from_secs(5);

    async fn wake(&self) {
        self.app.signals().scan_queued.notified().await;
    }

    async fn reconcile(&self, stop: &CancellationToken) -> Result<bool> {
        let found_one = self.app.scan_work(stop).await?;
        if found_one {
            // There may be more than this worker can do.
            self.app.signals().scan_queued.notify_one();
        }
        Ok(found_one)
    }
}

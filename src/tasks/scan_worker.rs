//! Executes queued scans, one at a time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct ScanWorker;

impl BackgroundTask for ScanWorker {
    const NAME: &'static str = "scan_worker";
    /// Detects scans queued by other processes, and those whose worker died.
    const PERIOD: Duration = Duration::from_secs(5);

    async fn wake(app: &App) {
        app.signals().scan_queued.notified().await;
    }

    async fn reconcile(app: &App, stop: &CancellationToken) -> Result<bool> {
        let found_one = app.scan_work(stop).await?;
        if found_one {
            // There may be more than this worker can execute.
            app.signals().scan_queued.notify_one();
        }
        Ok(found_one)
    }
}

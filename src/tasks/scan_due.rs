//! Queues the scans that are due by the schedule.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BackgroundTask;
use crate::app::{App, Result};

pub(super) struct ScanDue;

impl BackgroundTask for ScanDue {
    const NAME: &'static str = "scan_due";
    const PERIOD: Duration = Duration::from_secs(300);

    async fn wake(app: &App) {
        app.signals().minute.notified().await;
    }

    async fn reconcile(app: &App, _stop: &CancellationToken) -> Result<bool> {
        app.scan_due().await.map(|()| false)
    }
}
